# SPDX-License-Identifier: Apache-2.0
"""What .importlinter cannot say of imports: which libraries, when, and what they do besides.

Who may import whom is a contract there, checked by ``scripts/check imports``.
"""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TORCH = {"torch", "torchvision", "timm", "mobile_sam", "segment_anything", "sam2", "safetensors"}
# What the inference core may import besides the standard library; a backend adds its own engine.
CORE_LIBRARIES = {"numpy", "cv2", "scipy", "amodal_ros"}
# Masks in files: the demo, training and what writes a run read and write them; the node and the
# predictor do not.
FILE_MASKS = "amodal_ros.image.rle"
ANNOTATIONS = "amodal_ros.annotations"
ENGINES = {"onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "cuda"}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(file): ast.parse(file.read_text(encoding="utf-8"))
    for folder in ("amodal_ros", "export", "training")
    for file in sorted((ROOT / folder).rglob("*.py"))
}


def under(*packages: str) -> list[str]:
    return [
        name for name in SOURCES if any(name == p or name.startswith(p + ".") for p in packages)
    ]


CORE = [
    name
    for name in under("amodal_ros")
    if name not in under("amodal_ros.modeling", "amodal_ros.ros", "amodal_ros.backends")
]
BACKENDS = under("amodal_ros.backends")


def imports(module: str) -> set[str]:
    """All that a module imports, at its top and inside its functions, as dotted names."""
    found = set()
    for node in ast.walk(SOURCES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            # A name out of a package may be a module of it.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            found.add(str(node.module))
    return found


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def reaches(names: set[str], package: str) -> list[str]:
    return sorted(name for name in names if name == package or name.startswith(package + "."))


@pytest.mark.parametrize("module", CORE)
def test_core_imports_its_libraries_only(module: str) -> None:
    libraries = tops(imports(module)) - sys.stdlib_module_names
    assert libraries - CORE_LIBRARIES == ({"pycocotools"} if module == FILE_MASKS else set())
    if module not in under(ANNOTATIONS):
        assert reaches(imports(module), FILE_MASKS) == []


@pytest.mark.parametrize("module", BACKENDS)
def test_backend_imports_its_engine_only_and_lazily(module: str) -> None:
    names = imports(module)
    assert tops(names) - sys.stdlib_module_names - CORE_LIBRARIES - ENGINES == set()
    at_top = {
        alias.name.split(".")[0]
        for node in SOURCES[module].body
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        str(node.module).split(".")[0]
        for node in SOURCES[module].body
        if isinstance(node, ast.ImportFrom)
    }
    assert at_top & ENGINES == set()


def is_script(module: str) -> bool:
    return any(isinstance(node, ast.If) and _is_main_guard(node) for node in SOURCES[module].body)


def _is_main_guard(node: ast.If) -> bool:
    return ast.unparse(node.test) == "__name__ == '__main__'"


def executed_at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    harmless = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guard = isinstance(node, ast.If) and (
            _is_main_guard(node) or ast.unparse(node.test) == "TYPE_CHECKING"
        )
        if not (isinstance(node, harmless) or docstring or guard):
            yield node


# It must load other libraries before the one that it is there to import; its docstring says why.
LOADS_FIRST = "training.rendering.mujoco_beside_torch"


@pytest.mark.parametrize("module", [name for name in SOURCES if name != LOADS_FIRST])
def test_modules_only_define(module: str) -> None:
    found = [f"line {n.lineno}: {ast.unparse(n)}" for n in executed_at_import(SOURCES[module])]
    assert found == []


# Imports the named modules with torch and ROS out of reach, and reports whatever it is that an
# import did besides defining.
PROBE = """
import importlib, importlib.abc, sys, threading

BLOCKED = {blocked!r}

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in BLOCKED or top.endswith(("_msgs", "_srvs", "_interfaces")):
            raise ImportError(f"{{name}} is blocked")
        return None

sys.meta_path.insert(0, Block())
import numpy, cv2  # what these do while they load is not ours
events = []
armed = True

def watch(event, args):
    if not armed:
        return
    if event in ("subprocess.Popen", "socket.connect", "socket.bind", "os.mkdir", "os.remove"):
        events.append((event, str(args)))
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        events.append((event, str(args)))

sys.addaudithook(watch)
for name in {modules!r}:
    importlib.import_module(name)
armed = False
assert events == [], events
assert threading.active_count() == 1, threading.enumerate()
loaded = {{name.split(".")[0] for name in sys.modules}}
assert not loaded & set(BLOCKED), loaded & set(BLOCKED)
assert not loaded & {engines!r}, loaded & {engines!r}
print("imported", len({modules!r}))
"""


def test_core_imports_in_a_fresh_interpreter_without_torch_and_ros() -> None:
    modules = [*CORE, *BACKENDS]
    blocked = {*TORCH, "rclpy", "launch"}
    source = PROBE.format(blocked=blocked, modules=modules, engines=ENGINES)
    command = [sys.executable, "-B", "-c", source]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    # Nothing was printed either.
    assert result.stdout == f"imported {len(modules)}\n"
    assert result.stderr == ""
    assert len(modules) >= 10


def test_the_probe_would_notice() -> None:
    source = PROBE.format(blocked={"torch"}, modules=["torch"], engines=ENGINES)
    command = [sys.executable, "-B", "-c", source]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "torch is blocked" in result.stderr


def test_our_training_wins_over_the_one_that_sam2_installs() -> None:
    installed = {str(file) for file in importlib.metadata.files("sam2") or ()}
    assert "training/__init__.py" in installed, "sam2 no longer brings one: drop this test"
    command = [sys.executable, "-c", "import training; print(training.__file__)"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()) == ROOT / "training" / "__init__.py"


@pytest.mark.parametrize("script", [name for name in under("training") if is_script(name)])
def test_training_commands_run_from_the_root(script: str) -> None:
    command = [sys.executable, "-m", script.removesuffix(".__main__"), "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout


PUBLIC = """
import sys, time
import amodal_ros
light = set(sys.modules)
assert not any(name.startswith("amodal_ros.") for name in light), sorted(light)
assert "numpy" not in light and "cv2" not in light
for name in amodal_ros.__all__:
    assert getattr(amodal_ros, name) is not None, name
assert amodal_ros.load_predictor.__module__ == "amodal_ros.loading"
from amodal_ros import AmodalPredictor, AmodalTracker, Detections
try:
    amodal_ros.nothing
except AttributeError as error:
    print(error)
"""


def test_public_names_are_imported_when_they_are_used() -> None:
    command = [sys.executable, "-B", "-c", PUBLIC]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "module 'amodal_ros' has no attribute 'nothing'\n"
