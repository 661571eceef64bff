# SPDX-License-Identifier: Apache-2.0
"""Builds the folder that is served: the page, the model as it ships, ONNX Runtime."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from web import WebError

PAGE = Path(__file__).resolve().parent / "page"
# With WebAssembly alone, and with WebGPU; the .wasm files hold SIMD and threads.
RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
_MARK = "build.json"  # tells a folder that was built from one that holds something else


def build_site(folder: Path, model: Path, runtime: Path) -> None:
    """Builds the page into a folder, in place of what an earlier build put there.

    Args:
        folder: a new folder, an empty one, or one that was built before.
        model: a model folder; its graphs are copied as they are.
        runtime: the npm package onnxruntime-web.

    Raises:
        WebError: the folder holds something else, or the model or a file cannot be used.
    """
    manifest = _read_manifest(model)
    if folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and not (folder / _MARK).is_file())
    ):
        raise WebError(f"{folder}: expected an empty folder or one that was built before")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(PAGE, folder)
        _copy_model(model, manifest, folder / "model")
        (folder / "ort").mkdir()
        for name in RUNTIME_FILES:
            shutil.copyfile(runtime / "dist" / name, folder / "ort" / name)
        _write_mark(folder, runtime)
    except OSError as error:
        raise WebError(f"{folder}: the page cannot be built: {error}") from error


def _read_manifest(model: Path) -> dict[str, Any]:
    """The manifest of a model that the page can run."""
    path = model / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        mode, files = manifest["mode"], [graph["file"] for graph in manifest["graphs"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WebError(f"{path}: expected a model's manifest: {error!r}") from error
    if mode != "roi":
        raise WebError(f"{path}: the page runs models of mode roi, this one has mode {mode}")
    for name in files:
        if not (model / name).is_file():
            raise WebError(f"{model / name}: expected a graph of the model, found none")
    return dict(manifest)


def _copy_model(model: Path, manifest: dict[str, Any], target: Path) -> None:
    """Copies manifest, graphs, provenance and licences."""
    graphs = [graph["file"] for graph in manifest["graphs"].values()]
    notes = [path.name for path in model.iterdir() if path.suffix in (".md", ".txt")]
    target.mkdir()
    for name in ["manifest.json", *graphs, *notes]:
        shutil.copyfile(model / name, target / name)


def _write_mark(folder: Path, runtime: Path) -> None:
    """Writes what the page wants to know of its build: sizes, for the progress bar."""
    package = json.loads((runtime / "package.json").read_text(encoding="utf-8"))
    sizes = {name: (folder / "ort" / name).stat().st_size for name in RUNTIME_FILES}
    mark = {"onnxruntime_web": package["version"], "bytes": sizes}
    (folder / _MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
