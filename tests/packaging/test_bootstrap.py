# SPDX-License-Identifier: Apache-2.0
"""The parts of the bootstrap: what it refuses, and what it remembers."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from scripts.bootstrap import __main__ as bootstrap
from scripts.bootstrap import environment, prerequisites, ros, workspace
from scripts.bootstrap.steps import BootstrapError, Stamp, StepKilledError, digest, run

WHEELS = ros.Ros("", ())


@pytest.fixture
def plain_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.usefixtures("plain_user")
def test_missing_tools_give_one_apt_command(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ensurepip" else find_spec(name)
    )
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(prerequisites, "_python_header", lambda: Path("/nowhere/Python.h"))
    minor = sys.version_info.minor
    with pytest.raises(BootstrapError) as caught:
        prerequisites.check_tools(venv=True)
    assert str(caught.value) == (
        "missing: a C compiler, a C++ compiler, make, CMake, Python's headers, Python's venv "
        f"module: sudo apt install build-essential cmake python3.{minor}-dev python3.{minor}-venv"
    )


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "cmake" else f"/bin/{name}")
    monkeypatch.setattr(prerequisites, "_python_header", lambda: Path(__file__))
    with pytest.raises(BootstrapError, match=r"^missing: CMake: apt install cmake$"):
        prerequisites.check_tools(venv=False)


def test_disk_space_is_stated(tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match=r"1000000 GB of free disk needed in .*GB are free"):
        prerequisites.check_disk(tmp_path, 1e6)


def test_no_wheels_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(BootstrapError, match=r"x86_64 .* has aarch64 .*: install ROS 2"):
        ros.detect({})


@pytest.mark.usefixtures("plain_user")
def test_sourced_ros_without_vision_msgs(tmp_path: Path) -> None:
    for package in ros._REQUIRED_PACKAGES:
        if package != "vision_msgs":
            make_package(tmp_path, package)
    environ = {"ROS_DISTRO": "humble", "AMENT_PREFIX_PATH": f"/nowhere:{tmp_path}"}
    with pytest.raises(BootstrapError) as caught:
        ros.detect(environ)
    expected = "missing in ROS 2 humble: sudo apt install ros-humble-vision-msgs"
    assert str(caught.value) == expected


def test_sourced_ros_of_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BootstrapError, match=r"/bin/false cannot import its rclpy .*PYTHON="):
        ros.detect({"ROS_DISTRO": "humble"})


def test_sourced_ros_is_used(tmp_path: Path) -> None:
    for package in ros._REQUIRED_PACKAGES:
        make_package(tmp_path, package)
    found = ros.detect({"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": str(tmp_path)})
    assert found == ros.Ros("jazzy", (str(tmp_path),))
    environ = {"AMENT_PREFIX_PATH": str(tmp_path), "PYTHONPATH": "/ros", "PATH": "/bin"}
    built = ros.build_environment(found, tmp_path / "venv", environ)
    assert built["AMENT_PREFIX_PATH"] == str(tmp_path)
    assert built["PYTHONPATH"] == "/ros"
    env = environment.Environment(tmp_path, found, built)
    # ROS brings vision_msgs and tf2_msgs; what an example alone needs is built.
    make_package(tmp_path, "tf2_msgs")
    assert [folder.name for folder in workspace._packages(env, "demo")] == ["msg"]
    examples = ["msg", "object_recognition_msgs", "moveit_msgs"]
    assert [folder.name for folder in workspace._packages(env, "test")] == examples


def test_wheels_see_no_other_ros(tmp_path: Path) -> None:
    environ = {"AMENT_PREFIX_PATH": "/opt/ros/x", "PYTHONPATH": "/opt/ros/x", "PATH": "/bin"}
    built = ros.build_environment(WHEELS, tmp_path, environ)
    assert built["AMENT_PREFIX_PATH"] == str(tmp_path)
    assert "PYTHONPATH" not in built
    env = environment.Environment(tmp_path, WHEELS, built)
    assert [folder.name for folder in workspace._packages(env, "demo")] == ["msg", "vision_msgs"]


def make_package(prefix: Path, name: str) -> None:
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / name
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def test_offline_is_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = "echo 'NewConnectionError: Temporary failure in name resolution'; exit 1"
    with pytest.raises(BootstrapError, match=r"Packages: no connection to the Python package"):
        run("Packages", ["sh", "-c", script], tmp_path / "log.txt", env=os.environ, cwd=tmp_path)
    assert "NewConnectionError" not in capsys.readouterr().out


def test_failed_step_shows_the_end_of_its_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "echo 'Finished <<< one [1s]'; seq 100; exit 3"
    with pytest.raises(BootstrapError, match=r"^Build failed with exit status 3 \(output: .*log"):
        run("Build", ["sh", "-c", script], tmp_path / "log.txt", env=os.environ, cwd=tmp_path)
    shown = capsys.readouterr().out
    assert "Finished <<< one [1s]" in shown
    assert "| 100\n" in shown
    assert "| 50\n" not in shown


def test_stamp_remembers_layers_and_interruptions(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path / "venv" / "stamp.json")
    assert stamp.get("demo") is None
    assert not stamp.interrupted()
    stamp.begin("demo")
    assert stamp.interrupted()
    stamp.end("demo", "abc")
    assert stamp.get("demo") == "abc"
    assert not stamp.interrupted()
    stamp.begin("demo")
    assert stamp.get("demo") is None
    stamp.end("demo", None)
    assert not stamp.interrupted()
    assert stamp.get("demo") is None


def test_damaged_stamp_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "stamp.json").write_text('{"demo": "ab')
    assert Stamp(tmp_path / "stamp.json").get("demo") is None


def test_digest_changes_with_content_name_and_facts(tmp_path: Path) -> None:
    first, second = tmp_path / "a.msg", tmp_path / "b.msg"
    first.write_text("int32 x\n")
    second.write_text("int32 y\n")
    known = {
        digest([first]),
        digest([second]),
        digest([first, second]),
        digest([first], "numpy 1"),
    }
    first.write_text("int32 z\n")
    known.add(digest([first]))
    assert len(known) == 5
    assert digest([second, first]) == digest([first, second])


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[environment.Environment, list]:
    """An environment whose steps are only noted, over a tree with the files they depend on."""
    names = ("build.txt", "constraints.txt", "constraints-sourced-ros.txt", "rendering.txt")
    requirements = [f"scripts/requirements/{name}" for name in names]
    requirements += [f"requirements/{name}.txt" for name in environment.CHECKOUT]
    for name in ("setup.cfg", "setup.py", "msg/A.msg", *requirements):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    for folder in ("scripts/ros_wheels/vision_msgs", ".ros"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "scripts/ros_wheels/requirements-jazzy.txt").write_text("x")
    steps: list[str] = []
    for module in (environment, workspace):
        monkeypatch.setattr(module, "run", lambda title, *_, **__: steps.append(title))
    # Nothing is installed, so no space is needed.
    monkeypatch.setattr(environment.prerequisites, "check_disk", lambda *_: None)
    return environment.Environment(tmp_path, WHEELS, dict(os.environ)), steps


def titles(env: environment.Environment, steps: list[str], kind: str = "demo") -> str:
    steps.clear()
    environment.prepare_ros(env, kind)
    workspace.prepare(env, kind)
    environment.prepare(env, kind)
    return " ".join(step.split(" ")[0] for step in steps)


def test_only_what_changed_is_made_again(made: tuple[environment.Environment, list[str]]) -> None:
    env, steps = made
    assert titles(env, steps) == "Virtual ROS The Message amodal_ros"
    assert titles(env, steps) == ""
    (env.root / "msg" / "A.msg").write_text("y")
    assert titles(env, steps) == "Message"
    assert titles(env, steps, "test") == "Message PyTorch, SAM OpenGL"
    assert titles(env, steps, "test") == ""
    assert titles(env, steps, "demo") == ""
    (env.root / "setup.cfg").write_text("y")
    assert titles(env, steps, "test") == "amodal_ros PyTorch, SAM"
    (env.root / "scripts/requirements/build.txt").write_text("y")
    assert titles(env, steps, "test") == "ROS The Message"


@pytest.mark.parametrize("failing", [environment, workspace])
def test_messages_are_built_beside_the_packages_and_either_may_fail(
    made: tuple[environment.Environment, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    failing: ModuleType,
) -> None:
    env, _ = made
    started = threading.Barrier(2, timeout=10.0)

    def step(module: ModuleType) -> Callable[..., None]:
        def prepare(*_: object) -> None:
            started.wait()  # both run at once, or this breaks
            if module is failing:
                raise BootstrapError("no connection")

        return prepare

    monkeypatch.setattr(environment, "prepare_ros", lambda *_: None)
    for module in (environment, workspace):
        monkeypatch.setattr(module, "prepare", step(module))
    monkeypatch.setattr(ros, "detect", lambda _: WHEELS)
    with pytest.raises(BootstrapError, match="no connection"):
        bootstrap.prepare(env.root, "demo")


def test_interrupted_installation_starts_anew(
    made: tuple[environment.Environment, list[str]],
) -> None:
    env, steps = made
    titles(env, steps)
    env.stamp.begin("test")
    assert titles(env, steps, "test") == "Virtual ROS The Message amodal_ros PyTorch, SAM OpenGL"


def test_killed_installation_starts_anew_and_failed_one_does_not(
    made: tuple[environment.Environment, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    env, steps = made
    titles(env, steps)
    note = environment.run

    def fail_with(error: BootstrapError) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(environment, "run", fail)
        with pytest.raises(type(error)):
            environment.prepare(env, "test")
        monkeypatch.setattr(environment, "run", note)

    fail_with(BootstrapError("no connection"))
    assert titles(env, steps, "test") == "Message PyTorch, SAM OpenGL"
    (env.root / "setup.py").write_text("changed")
    fail_with(StepKilledError("killed"))
    assert titles(env, steps, "test").startswith("Virtual ROS")


def test_killed_step_is_told_from_a_failed_one(tmp_path: Path) -> None:
    with pytest.raises(StepKilledError, match=r"^Install: killed by signal 9; run it again$"):
        run("Install", ["sh", "-c", "kill -9 $$"], tmp_path / "l", env=os.environ, cwd=tmp_path)


def test_another_ros_means_another_environment(
    made: tuple[environment.Environment, list[str]], tmp_path: Path
) -> None:
    env, steps = made
    titles(env, steps)
    sourced = environment.Environment(tmp_path, ros.Ros("jazzy", ()), env.environ)
    assert titles(sourced, steps) == "Virtual Build Message amodal_ros"


@pytest.mark.parametrize("name", ["My Robots", "größe_2+x,y=z", "v1.0~rc@home%"])
def test_paths_that_the_tools_can_take(name: str) -> None:
    prerequisites.check_path(Path("/home/me") / name)


@pytest.mark.parametrize("character", list("'\":;$\\`&()*?#\n"))
def test_paths_that_break_the_tools_are_refused_in_one_line(character: str) -> None:
    with pytest.raises(BootstrapError) as caught:
        prerequisites.check_path(Path(f"/home/Bob{character}s robot/amodal_ros"))
    assert repr(character) in str(caught.value)
    assert "move it to a folder" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_middleware_that_the_wheels_lack_is_not_used(tmp_path: Path) -> None:
    environ = {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp", "PATH": "/bin"}
    assert ros.foreign_rmw(WHEELS, environ) == "rmw_cyclonedds_cpp"
    built = ros.build_environment(WHEELS, tmp_path, environ)
    assert built["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"
    assert ros.foreign_rmw(WHEELS, {"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}) is None


@pytest.mark.usefixtures("plain_user")
def test_a_middleware_that_the_sourced_ros_lacks_is_refused(tmp_path: Path) -> None:
    for package in (*ros._REQUIRED_PACKAGES, "rmw_fastrtps_cpp"):
        make_package(tmp_path, package)
    environ = {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": str(tmp_path)}
    with pytest.raises(BootstrapError) as caught:
        ros.detect({**environ, "RMW_IMPLEMENTATION": "rmw_zenoh_cpp"})
    assert str(caught.value) == (
        "RMW_IMPLEMENTATION=rmw_zenoh_cpp is not in ROS 2 jazzy: sudo apt install "
        "ros-jazzy-rmw-zenoh-cpp, or: unset RMW_IMPLEMENTATION"
    )
    found = ros.detect({**environ, "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"})
    built = ros.build_environment(found, tmp_path, {"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"})
    assert built["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"
    assert ros.foreign_rmw(found, {"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"}) is None


def test_a_home_that_cannot_be_written_to_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert prerequisites.usable_home()
    for unusable in ("/proc/nowhere", "/proc/version", "/proc"):
        monkeypatch.setenv("HOME", unusable)
        assert not prerequisites.usable_home()
