# SPDX-License-Identifier: Apache-2.0
"""Launch files without ``launch``: run with recorders in its place. And with it, for real."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HAS_LAUNCH = all(importlib.util.find_spec(name) for name in ("launch", "launch_ros"))


class Recorder:
    """Stands for a class of ``launch``: keeps what it was constructed with."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs

    def perform(self, context):
        return context.get(self.args[0], self.kwargs.get("default"))


@pytest.fixture
def on_recorders(monkeypatch):
    """Runs a launch file on recorders; returns its globals."""
    names = {
        "launch": ["LaunchDescription"],
        "launch.actions": [
            "DeclareLaunchArgument",
            "GroupAction",
            "IncludeLaunchDescription",
            "LogInfo",
            "OpaqueFunction",
            "SetLaunchConfiguration",
            "Shutdown",
        ],
        "launch.conditions": ["IfCondition"],
        "launch.launch_description_sources": [
            "AnyLaunchDescriptionSource",
            "PythonLaunchDescriptionSource",
        ],
        "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
        "launch_ros": [],
        "launch_ros.actions": ["LifecycleNode", "Node"],
        "launch_ros.parameter_descriptions": ["ParameterValue"],
        "launch_ros.substitutions": ["FindPackageShare"],
    }
    for module, classes in names.items():
        stand_in = types.ModuleType(module)
        for name in classes:
            setattr(stand_in, name, type(name, (Recorder,), {}))
        monkeypatch.setitem(sys.modules, module, stand_in)
    return lambda file: runpy.run_path(str(file))


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """An ament prefix; called with a package and one of its files, it installs them there."""
    prefix = tmp_path / "prefix"
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))

    def install(package: str, file: str = "package.xml", content: str = ""):
        index = prefix / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True, exist_ok=True)
        (index / package).touch()
        place = prefix / "share" / package / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        return place

    return install


def check_described(declared):
    for name, argument in declared.items():
        assert len(argument.kwargs["description"]) > 15, name
        assert "default_value" in argument.kwargs, name


def real_launch(file, *arguments, **environment):
    """Run a launch file until all that it starts has ended; its output."""
    code = (
        "import sys; from launch import LaunchService; "
        "from launch.actions import IncludeLaunchDescription; "
        "from launch.launch_description_sources import PythonLaunchDescriptionSource; "
        "service = LaunchService(); source = PythonLaunchDescriptionSource(sys.argv[1]); "
        "arguments = [a.split(':=') for a in sys.argv[2:]]; "
        "service.include_launch_description(IncludeLaunchDescription("
        "source, launch_arguments=arguments)); service.run()"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(file), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    return finished.stdout + finished.stderr
