# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.box_plan import (
    BoxPlan,
    PromptBox,
    first_frame_boxes,
    load_boxes,
    parse_box,
)
from amodal_ros.ros.demo.camera import parse_arguments
from amodal_ros.ros.demo.sources import CLIP_VIDEO
from amodal_ros.ros.demo.stage import load_stage


def boxes_file(folder: Path, content: object) -> Path:
    path = folder / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def one_box(**entry: object) -> dict:
    return {"frames": [{"frame": 0, "boxes": [{"box": [1, 2, 3, 4], **entry}]}]}


def test_a_box_from_the_command_line():
    assert parse_box("1,2.5,30,40") == (1.0, 2.5, 30.0, 40.0)


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "5,2,3,4", "1,4,3,4", "nan,0,3,4", "0,0,inf,4"]
)
def test_a_bad_box_says_what_came_and_what_was_expected(text):
    with pytest.raises(InvalidInputError, match=r"--box: got .*expected x0,y0,x1,y1"):
        parse_box(text)


def test_boxes_by_hand_are_on_the_first_frame_only():
    plan = first_frame_boxes([(1, 2, 3, 4), (5, 6, 7, 8)])
    assert [prompt.detection_id for prompt in plan.of(0)] == ["box1", "box2"]
    assert list(plan.of(1)) == []


def test_a_boxes_file(tmp_path):
    content = {
        "frames": [
            {"frame": 3, "boxes": [{"box": [1, 2, 3, 4], "id": 7, "class": "cup", "score": 0.5}]},
            {"frame": 0, "boxes": [{"box": [0, 0, 9, 9]}]},
        ]
    }
    plan = load_boxes(boxes_file(tmp_path, content))
    assert list(plan.of(3)) == [PromptBox((1, 2, 3, 4), "7", "cup", 0.5)]
    assert list(plan.of(0)) == [PromptBox((0, 0, 9, 9))]
    assert list(plan.of(1)) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ([], 'list "frames"'),
        ({"frames": {}}, 'list "frames"'),
        ({"frames": []}, "holds no box"),
        ({"frames": [{"frame": 0, "boxes": []}]}, "holds no box"),
        ({"frames": [{"boxes": []}]}, r"frames\[0\].*\"frame\""),
        ({"frames": [{"frame": -1, "boxes": []}]}, r"frames\[0\].*from 0 on"),
        ({"frames": [{"frame": True, "boxes": []}]}, r"frames\[0\]"),
        ({"frames": [{"frame": 0}]}, r"frames\[0\].*expected a list"),
        ({"frames": [{"frame": 0, "boxes": []}] * 2}, r"frames\[1\]: frame 0 is there twice"),
        (one_box(box=[4, 2, 3, 9]), r"frames\[0\]\.boxes\[0\].*x0 < x1"),
        (one_box(box="1,2,3,4"), r"frames\[0\]\.boxes\[0\]"),
        (one_box(box=[1, 2, 3, None]), r"frames\[0\]\.boxes\[0\]"),
        (one_box(score=2), r"frames\[0\]\.boxes\[0\]: got score 2"),
        (one_box(label="cup"), r"unknown key 'label'"),
        ({"frames": [{"frame": 0, "boxes": [[1, 2, 3, 4]]}]}, r"boxes\[0\]: got \[1, 2, 3, 4\]"),
    ],
)
def test_a_bad_boxes_file_names_the_entry(tmp_path, content, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_boxes(boxes_file(tmp_path, content))
    assert "boxes.json" in str(caught.value)


def test_a_missing_boxes_file(tmp_path):
    with pytest.raises(InvalidInputError, match=r"none\.json cannot be read"):
        load_boxes(tmp_path / "none.json")


def test_a_box_outside_the_picture_is_refused():
    plan = BoxPlan({2: [PromptBox((700, 0, 720, 20))]})
    with pytest.raises(InvalidInputError, match=r"700,0,720,20 of frame 2.*640x480"):
        plan.check_inside((480, 640))


def test_a_source_without_boxes_says_how_to_give_them():
    with pytest.raises(InvalidInputError, match=r"--box x0,y0,x1,y1.*--boxes FILE"):
        load_stage(parse_arguments(["--source", str(CLIP_VIDEO)]))


def test_the_source_is_looked_at_before_its_boxes():
    with pytest.raises(InvalidInputError, match="does not exist"):
        load_stage(parse_arguments(["--source", "no_such_video.mp4"]))


@pytest.mark.parametrize(
    "arguments", [["--rate", "0"], ["--rate", "x"], ["--frames", "0"], ["--frames", "1.5"]]
)
def test_a_bad_number_says_what_was_expected(arguments, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(arguments)
    message = capsys.readouterr().err
    assert f"got '{arguments[1]}', expected a" in message
    assert "above 0" in message


def test_box_and_boxes_exclude_each_other(tmp_path):
    path = boxes_file(tmp_path, one_box())
    with pytest.raises(InvalidInputError, match="exclude each other"):
        load_stage(parse_arguments(["--box", "1,2,3,4", "--boxes", str(path)]))


def test_the_default_clip_comes_with_boxes_and_true_masks():
    stage = load_stage(parse_arguments([]))
    assert stage.annotations is not None
    assert stage.frame_count == stage.source.info.frame_count
    assert len(stage.plan.of(0)) >= 4


def test_boxes_of_ones_own_on_the_default_clip_have_no_true_masks():
    stage = load_stage(parse_arguments(["--box", "10,10,60,60"]))
    assert stage.annotations is None
    assert len(stage.plan.of(0)) == 1
