# SPDX-License-Identifier: Apache-2.0
"""The launch files.

The wheels have no ``launch``: there the files are run with recorders in its place, which shows
what they declare and start. Where the real one is importable it launches the node as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import types
from configparser import ConfigParser

import cv2
import numpy as np
import pytest
import yaml

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.demo.camera import parse_arguments
from amodal_ros.ros.parameters.table import PARAMETERS
from amodal_ros.ros.parameters.topic_names import OUTPUTS
from tests.ros.launch_rig import (
    HAS_LAUNCH,
    ROOT,
    Recorder,
    check_described,
    installed,
    on_recorders,
    real_launch,
)

LAUNCH_FILE = ROOT / "launch" / "perception.launch.py"
DEMO_FILE = ROOT / "launch" / "demo.launch.py"
__all__ = ["installed", "on_recorders"]
SPECS = {spec.name: spec for spec in PARAMETERS}


@pytest.fixture
def launch_file(on_recorders):
    """Globals of perception.launch.py."""
    return on_recorders(LAUNCH_FILE)


@pytest.fixture
def demo_file(on_recorders):
    """Globals of demo.launch.py."""
    return on_recorders(DEMO_FILE)


def entities(launch_file) -> dict[str, Recorder]:
    """Declared arguments by name; the functions that make the nodes as ``node`` and ``rviz``."""
    (listed,) = launch_file["generate_launch_description"]().args
    arguments = {e.args[0]: e for e in listed if type(e).__name__ == "DeclareLaunchArgument"}
    functions = (e for e in listed if type(e).__name__ == "OpaqueFunction")
    return {**arguments, **dict(zip(("node", "rviz"), functions, strict=True))}


def start(launch_file, **given: str) -> dict:
    """What the node action is made with."""
    declared = entities(launch_file)
    context = {name: "" for name in declared if name not in ("node", "rviz")}
    context["params_file"] = str(ROOT / "config" / "perception.yaml")
    (node,) = declared["node"].kwargs["function"]({**context, **given})
    return node.kwargs


def test_every_parameter_is_an_argument_of_its_type_and_described(launch_file):
    declared = entities(launch_file)
    del declared["node"], declared["rviz"]
    assert {"params_file", "namespace", "log_level", "use_sim_time"} <= set(declared)
    check_described(declared)
    types_of = {name: kind for name, kind, _, _ in launch_file["_OVERRIDES"]}
    assert types_of.pop("use_sim_time") is bool
    assert types_of == {name: type(spec.default) for name, spec in SPECS.items()}
    for name, spec in SPECS.items():
        assert spec.expected in declared[name].kwargs["description"]


def test_the_demo_describes_its_arguments_and_includes_perception(demo_file):
    (listed,) = demo_file["generate_launch_description"]().args
    kinds = [type(entry).__name__ for entry in listed]
    assert kinds[-3:] == ["OpaqueFunction", "OpaqueFunction", "IncludeLaunchDescription"]
    declared = {entry.args[0]: entry for entry in listed[:-3]}
    check_described(declared)
    (source,) = listed[-1].args
    assert source.args[0].args[0][1:] == ["launch", "perception.launch.py"]
    assert (ROOT / "launch" / "perception.launch.py").is_file()


@pytest.fixture
def begun(demo_file, tmp_path):
    """What the demo's launch file starts beside the node, and what it sets for the node."""
    cv2.imwrite(str(tmp_path / "a still.png"), np.zeros((120, 160, 3), np.uint8))
    boxes = [{"frame": 0, "boxes": [{"box": [1, 2, 3, 4]}]}]
    (tmp_path / "b.json").write_text(json.dumps({"frames": boxes}))

    def begin(**given):
        names = (*(name for name, _ in demo_file["_CAMERA_OPTIONS"]), "camera_arguments", "out")
        places = {"still": str(tmp_path / "a still.png"), "b.json": str(tmp_path / "b.json")}
        given = {name: places.get(value, value) for name, value in given.items()}
        actions = demo_file["_begin"]({**dict.fromkeys(names, ""), **given})
        settings = dict(a.args for a in actions if type(a).__name__ == "SetLaunchConfiguration")
        return settings, [a.kwargs for a in actions if type(a).__name__ == "Node"]

    return begin


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({}, {"max_coast": "-1.0"}),
        ({"source": "still", "box": "1,2,3,4"}, {"detections_topic": "''"}),
        (
            {"source": "still", "camera_arguments": "--box 1,2,3,4 --box 5,6,7,8"},
            {"detections_topic": "''"},
        ),
        ({"source": "still", "boxes": "b.json", "rate": "5"}, {}),
        ({"max_coast": "3"}, {}),
    ],
)
def test_the_demo_sets_what_the_script_sets(begun, given, settings):
    always = {"image_reliability": "reliable", "frame_budget": "0.0"}
    assert begun(**given)[0] == {**always, **settings}


def test_the_demo_starts_the_parts_of_the_script(begun, tmp_path):
    options = {"source": "still", "boxes": "b.json", "rate": "5"}
    _, (camera,) = begun(**options, camera_arguments="--timeout '7'")
    assert camera["executable"] == "amodal_demo_camera"
    read = parse_arguments(camera["arguments"])
    assert (read.source, read.rate, read.timeout) == (str(tmp_path / "a still.png"), 5.0, 7.0)
    (action,) = camera["on_exit"](None, types.SimpleNamespace(is_shutdown=False))
    assert type(action).__name__ == "Shutdown"
    assert camera["on_exit"](None, types.SimpleNamespace(is_shutdown=True)) == []
    _, (recorder, camera) = begun(**options, out=str(tmp_path / "out"))
    assert recorder["executable"] == "amodal_demo_recorder"
    assert "--out" in recorder["arguments"]
    assert parse_arguments(camera["arguments"]).image_subscribers == 2
    with pytest.raises(SystemExit):
        begun(frames="0")
    with pytest.raises(InvalidInputError, match="does not exist"):
        begun(source="nowhere.mp4", box="1,2,3,4")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="setpriv is of Linux alone")
def test_the_node_ends_with_its_launch_process(launch_file):
    """However that process ends: of its own it leaves its children behind on SIGTERM."""
    prefix = start(launch_file)["prefix"].split()
    assert prefix[1:] == ["--pdeathsig", "TERM"]
    child = (
        "import signal, sys, time; "
        "signal.signal(signal.SIGTERM, lambda *_: (print('told', flush=True), sys.exit())); "
        "print('ready', flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys; "
        f"subprocess.Popen({[*prefix, sys.executable, '-c', child]!r}).wait()"
    )
    launcher = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout.readline() == "ready\n"
    launcher.kill()
    assert launcher.stdout.read() == "told\n"  # and its end closes the pipe
    launcher.wait()


def test_arguments_left_empty_leave_the_parameter_file_in_charge(launch_file):
    file, overrides = start(launch_file)["parameters"]
    assert file == str(ROOT / "config" / "perception.yaml")
    assert overrides == {}


def test_arguments_become_parameters_of_the_node(launch_file):
    given = {"image_topic": "7", "slop": "1", "max_objects": "3", "verify": "True"}
    _, overrides = start(launch_file, **given)["parameters"]
    topic = overrides.pop("image_topic")
    assert (topic.args, topic.kwargs) == (("7",), {"value_type": str})
    assert overrides == {"slop": 1.0, "max_objects": 3, "verify": True}
    assert type(overrides["slop"]) is float


@pytest.mark.parametrize("quotes", ["''", '""'])
def test_an_empty_text_is_given_in_quotes(launch_file, quotes):
    """The command line refuses `detections_topic:=`."""
    overrides = start(launch_file, detections_topic=quotes)["parameters"][1]
    assert overrides["detections_topic"].args == ("",)


@pytest.mark.parametrize(
    ("name", "text"), [("slop", "fast"), ("max_objects", "2.5"), ("verify", "maybe")]
)
def test_a_value_of_another_type_is_refused_by_name(launch_file, name, text):
    with pytest.raises(ValueError, match=f"argument {name} is '{text}', expected "):
        start(launch_file, **{name: text})


def test_a_parameter_file_that_is_not_there_is_refused(launch_file):
    with pytest.raises(FileNotFoundError, match=r"params_file /no/such\.yaml: no such"):
        start(launch_file, params_file="/no/such.yaml")


def view(launch_file, **given: str) -> list[dict]:
    """What RViz is started with."""
    context = {"view": "", "view_frame": "", "namespace": "", **given}
    nodes = entities(launch_file)["rviz"].kwargs["function"](context)
    return [node.kwargs for node in nodes]


@pytest.mark.parametrize("value", ["", "true", "false"])
def test_without_rviz_nothing_is_shown(launch_file, value):
    assert view(launch_file, view=value) == []


def test_rviz_that_is_not_installed_is_said_and_the_node_starts(
    launch_file, installed, monkeypatch
):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    function = entities(launch_file)["rviz"].kwargs["function"]
    (said,) = function({"view": "rviz", "view_frame": "", "namespace": ""})
    assert type(said).__name__ == "LogInfo"
    assert said.kwargs["msg"] == (
        "WARNING: view:=rviz: package rviz2 is not installed; install it with: sudo apt install "
        "ros-jazzy-rviz2. The node starts without a view"
    )


def test_the_demos_viewer_opens_or_is_said_to_be_missing(demo_file, installed, monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    (said,) = demo_file["_viewer"]({"view": "true"})
    assert type(said).__name__ == "LogInfo"
    assert "sudo apt install ros-$ROS_DISTRO-rqt-image-view. The demo" in said.kwargs["msg"]
    installed("rqt_image_view")
    (viewer,) = demo_file["_viewer"]({"view": "true"})
    assert (viewer.kwargs["package"], viewer.kwargs["arguments"]) == (
        "rqt_image_view",
        ["amodal/overlay"],
    )
    assert demo_file["_viewer"]({"view": "false"}) == []


def test_rviz_opens_the_file_that_comes_along(launch_file, installed):
    installed("rviz2")
    (rviz,) = view(launch_file, view="rviz")
    assert (rviz["package"], rviz["executable"], rviz["remappings"]) == ("rviz2", "rviz2", [])
    option, config = rviz["arguments"]
    assert option == "-d"
    assert config.args[0][1:] == ["config", "perception.rviz"]
    (rviz,) = view(launch_file, view="rviz", view_frame="base_link", namespace="left")
    assert rviz["arguments"][2:] == ["-f", "base_link"]
    assert ("/amodal/overlay", "/left/amodal/overlay") in rviz["remappings"]
    with pytest.raises(ValueError, match="argument view is 'foxglove', expected rviz or nothing"):
        view(launch_file, view="foxglove")


def test_rviz_shows_topics_of_the_node(launch_file):
    displays = yaml.safe_load((ROOT / "config" / "perception.rviz").read_text())
    displays = displays["Visualization Manager"]["Displays"]
    topics = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert topics == {f"/amodal/{name}" for name in launch_file["_SHOWN"]}
    assert set(launch_file["_SHOWN"]) - {"box_markers"} <= set(OUTPUTS)


def test_the_executable_is_the_packages(launch_file):
    node = start(launch_file)
    assert node["exec_name"] == node["executable"]
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    scripts = setup["options.entry_points"]["console_scripts"]
    assert f"{node['executable']} = amodal_ros.ros.node.executables:perception" in scripts
    assert (node["package"], node["name"]) == ("amodal_ros", "amodal_perception")


if HAS_LAUNCH:

    @pytest.mark.parametrize(
        ("argument", "text"),
        [
            ("model_dir:=/no/such/folder", "cannot configure: /no/such/folder"),
            ("slop:=7.0", "cannot start: parameter slop is 7.0"),
            ("slop:=fast", "argument slop is 'fast', expected a number from 0 to 1"),
            ("camera_info_topic:=''", "parameter camera_info_topic is ''"),
            ("params_file:=/no/such.yaml", "params_file /no/such.yaml: no such file"),
        ],
    )
    def test_real_launch_hands_arguments_on(argument, text):
        assert text in real_launch(LAUNCH_FILE, argument)
