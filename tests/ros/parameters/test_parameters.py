# SPDX-License-Identifier: Apache-2.0
"""The parameter table: validation, and that file, table, documentation and node agree."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml
from rcl_interfaces.msg import ParameterType
from rclpy.parameter import Parameter

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.parameters.declaration import (
    declare_parameters,
    guard_changes,
    read_parameters,
)
from amodal_ros.ros.parameters.spec import Effect
from amodal_ros.ros.parameters.table import PARAMETERS, PerceptionParameters
from amodal_ros.ros.parameters.topic_names import camera_names, depth_topic, image_topic

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config" / "perception.yaml"
SPECS = {spec.name: spec for spec in PARAMETERS}


def test_defaults_are_valid():
    assert asdict(PerceptionParameters()) == {spec.name: spec.default for spec in PARAMETERS}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"slop": math.nan}, "slop is nan (float), expected a number from 0 to 1"),
        ({"slop": -0.1}, "slop is -0.1 (float), expected a number from 0 to 1"),
        ({"slop": math.inf}, "slop is inf"),
        ({"slop": "0.1"}, "slop is '0.1' (str)"),
        ({"slop": True}, "slop is True (bool)"),
        ({"threads": -1}, "threads is -1 (int), expected a whole number from 0 to 256"),
        ({"threads": 2.0}, "threads is 2.0 (float)"),
        ({"threads": True}, "threads is True (bool)"),
        ({"max_objects": 0}, "max_objects is 0"),
        ({"autostart": "yes"}, "autostart is 'yes' (str), expected true or false"),
        (
            {"backend": "magic"},
            "backend is 'magic' (str), expected one of auto, openvino, onnxruntime",
        ),
        ({"box_units": "feet"}, "parameter box_units is 'feet', expected automatic, pixels"),
        ({"image_reliability": ""}, "expected one of automatic, best_effort, reliable"),
        ({"image_topic": ""}, "image_topic is '', expected the name of a topic"),
        ({"model_dir": None}, "model_dir is None (NoneType), expected a text"),
        ({"model_dri": "x"}, "unknown parameter model_dri, expected some of model_dir"),
    ],
)
def test_wrong_values_are_refused_by_name(values, text):
    with pytest.raises(InvalidInputError, match=re.escape(text)):
        PerceptionParameters.from_mapping(values)


def test_a_whole_number_may_stand_for_a_float():
    parameters = PerceptionParameters.from_mapping({"max_coast": -1})
    assert parameters.max_coast == -1.0
    assert type(parameters.max_coast) is float


def test_the_file_holds_every_parameter_at_its_default():
    text = CONFIG.read_text()
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert list(values) == [spec.name for spec in PARAMETERS]
    assert PerceptionParameters.from_mapping(values) == PerceptionParameters()
    assert {name: type(value) for name, value in values.items()} == {
        spec.name: type(spec.default) for spec in PARAMETERS
    }


@pytest.mark.parametrize("name", SPECS)
def test_the_file_describes_every_parameter(name):
    lines = CONFIG.read_text().splitlines()
    index = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
    comment: list[str] = []
    while lines[index - 1].strip().startswith("#"):
        index -= 1
        comment.insert(0, lines[index].strip().lstrip("# "))
    assert " ".join(comment) == commented(SPECS[name])


def commented(spec) -> str:
    simple = spec.expected in ("a text",)
    return spec.description if simple else f"{spec.description} ({spec.expected})"


@pytest.mark.parametrize("name", SPECS)
def test_the_documentation_has_every_parameter(name):
    spec = SPECS[name]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs" / "node.md").read_text().splitlines()
        if line.startswith(f"| `{name}` |")
    ]
    default = '""' if spec.default == "" else str(spec.default)
    default = default.lower() if isinstance(spec.default, bool) else default
    expected = [f"`{name}`", f"`{default}`", spec.expected, spec.description, spec.effect.value]
    assert rows == [expected]


def overrides(**values):
    return [Parameter(name, value=value) for name, value in values.items()]


def test_declared_with_range_and_description(make_node):
    node = make_node()
    assert declare_parameters(node) == PerceptionParameters()
    for spec in PARAMETERS:
        described = node.describe_parameter(spec.name)
        assert described.description == spec.description
        # A whole number is taken for a float, which rclpy itself would refuse.
        assert described.dynamic_typing == isinstance(spec.default, float)
        assert described.additional_constraints.endswith(spec.effect.value)
        if spec.choices:
            assert described.additional_constraints.startswith(spec.expected)
        ranges = [*described.floating_point_range, *described.integer_range]
        assert [(r.from_value, r.to_value) for r in ranges] == (
            [] if spec.minimum is None else [(spec.minimum, spec.maximum)]
        )
    assert node.describe_parameter("threads").type == ParameterType.PARAMETER_INTEGER
    assert node.describe_parameter("slop").type == ParameterType.PARAMETER_DOUBLE


def test_overrides_arrive(make_node):
    node = make_node(parameter_overrides=overrides(slop=0.02, max_coast=-1, model_dir="/m"))
    expected = PerceptionParameters(slop=0.02, max_coast=-1.0, model_dir="/m")
    assert declare_parameters(node) == expected
    assert read_parameters(node) == expected


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"slopp": 0.1, "treads": 2}, "unknown parameter slopp, treads, expected some of"),
        ({"slop": 7.0}, "slop is 7.0"),
        ({"slop": math.nan}, "slop is nan"),
        ({"image_reliability": "sometimes"}, "image_reliability is 'sometimes'"),
        ({"threads": "two"}, "threads is 'two'"),
    ],
)
def test_wrong_overrides_are_refused_by_name(make_node, values, text):
    node = make_node(parameter_overrides=overrides(**values))
    with pytest.raises(InvalidInputError, match=text):
        declare_parameters(node)


def test_rclpys_own_parameters_are_not_ours_to_refuse(make_node):
    node = make_node(parameter_overrides=overrides(use_sim_time=True))
    assert declare_parameters(node) == PerceptionParameters()


def test_changes_are_checked_and_told(make_node):
    node = make_node()
    declare_parameters(node)
    configured = [False]
    told = []

    def check(wanted):
        if wanted.threads == 7:
            raise InvalidInputError("no seven threads")

    guard_changes(node, lambda: configured[0], check, lambda: told.append(True))

    def change(**values):
        (result,) = node.set_parameters(overrides(**values))
        return result

    assert change(slop=0.5).successful
    assert len(told) == 1
    assert read_parameters(node).slop == 0.5
    assert "image_reliability is 'no'" in change(image_reliability="no").reason
    assert not change(slop=math.nan).successful
    assert not change(slop=-1.0).successful
    assert change(threads=7).reason == "no seven threads"
    assert read_parameters(node).slop == 0.5
    assert change(cameras="left,right").successful
    configured[0] = True
    refused = change(cameras="left")
    assert not refused.successful
    assert "cameras: fixed while the node is configured" in refused.reason
    assert change(slop=0.1).successful
    assert change(use_sim_time=False).successful
    assert len(told) == 3


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"cameras": "left,,right"}, "cameras is 'left,,right', expected different names"),
        ({"cameras": "left,left"}, "expected different names of letters"),
        ({"cameras": "1st"}, "expected different names of letters"),
        ({"cameras": "left", "image_topic": "/image"}, "image_topic is '/image', expected a rel"),
    ],
)
def test_names_of_cameras(values, text):
    with pytest.raises(InvalidInputError, match=re.escape(text)):
        PerceptionParameters.from_mapping(values)
    assert camera_names(PerceptionParameters(cameras="left, right")) == ("left", "right")
    assert camera_names(PerceptionParameters()) == ("",)


def test_changes_are_told_by_their_effect():
    before, after = PerceptionParameters(), PerceptionParameters(threads=1, slop=0.1, max_coast=3)
    assert after.changes(before, Effect.MODEL) == ("threads",)
    assert after.changes(before, Effect.RECONNECT) == ("slop",)
    assert after.changes(before, Effect.NEXT_FRAME) == ("max_coast",)
    assert after.changes(before, Effect.CONFIGURE) == ()


@pytest.mark.parametrize(
    ("values", "images", "depth"),
    [
        ({"image_topic": "rgb", "depth_topic": "d"}, "rgb", "d"),
        ({"image_topic": "rgb", "image_transport": "compressed"}, "rgb/compressed", ""),
        ({"image_topic": "rgb/compressed", "image_transport": "compressed"}, "rgb/compressed", ""),
        (
            {"depth_topic": "d", "depth_transport": "compressedDepth"},
            "camera/image_raw",
            "d/compressedDepth",
        ),
    ],
)
def test_topics_as_they_are_transported(values, images, depth):
    parameters = PerceptionParameters.from_mapping(values)
    assert (image_topic(parameters), depth_topic(parameters)) == (images, depth)
