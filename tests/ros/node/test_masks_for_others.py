# SPDX-License-Identifier: Apache-2.0
"""Who hides whom, label images and outlines, over real DDS."""

from __future__ import annotations

import numpy as np
import pytest
from amodal_msgs.srv import SegmentAmodal
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import ImageMarker

from amodal_ros.occlusion.memory import OcclusionMemory
from amodal_ros.ros.convert.masks import decode_masks
from amodal_ros.ros.outputs import label_outputs
from amodal_ros.types import AmodalPrediction
from tests.ros.outputs.depth_rig import depth_message, info_message
from tests.ros.ros_rig import boxes_message, image_message, picture

# Of a box the left half is seen: that of the second covers the right half of the first.
BACK, FRONT = (20.0, 30.0, 60.0, 80.0), (40.0, 30.0, 80.0, 80.0)
HW = (120, 160)


@pytest.fixture
def rig(make_rig):
    return make_rig()


def test_the_message_says_who_hides_whom(rig):
    back, front = rig.camera.ask(picture(), [BACK, FRONT]).masks
    assert list(back.occluder_track_ids) == [front.track_id]
    assert list(back.occluder_indices) == [1]
    assert (list(back.occluder_shares), back.unknown_share, back.layer) == ([1.0], 0.0, 1)
    assert (list(front.occluder_indices), front.unknown_share, front.layer) == ([], 1.0, 0)


def test_the_service_says_it_too(rig):
    request = SegmentAmodal.Request(image=image_message(picture(), rig.camera.header()))
    request.boxes_xyxy = [*BACK, *FRONT]
    answer = rig.camera.call(SegmentAmodal, "amodal_perception/segment", request)
    assert list(answer.masks.masks[0].occluder_indices) == [1]
    assert list(answer.masks.masks[0].occluder_track_ids) == [-1]


def test_cycles_are_counted(rig):
    """A cup, and the spoon in it."""
    cup, spoon = np.zeros(HW, bool), np.zeros(HW, bool)
    cup[40:100, 20:80], spoon[10:90, 40:55] = True, True
    upper = np.zeros(HW, bool)
    upper[:65] = True
    seen = np.stack([cup & ~(spoon & upper), spoon & ~(cup & ~upper)])

    def predict(features, boxes_xyxy=None, prior_masks=None, **_):
        return AmodalPrediction.from_masks(np.stack([cup, spoon]), seen, np.ones(2, np.float32))

    rig.predictor.predict = predict
    answer = rig.camera.ask(picture(), [(20, 40, 80, 100), (40, 10, 55, 90)])
    assert (list(answer.cycle_indices), list(answer.cycle_sizes)) == ([0, 1], [2])
    assert rig.counts("occlusion_cycles") == 1
    assert rig.counts("occlusion_contradictions") == 0
    values = rig.camera.diagnostics("camera", lambda status: True)
    assert values["occlusion_cycles"] == "1"


def _turned_in_the_last(rig) -> list[int]:
    """Which of two objects lies in front in each of four images, masks being wrong in the last."""
    one, other = np.zeros(HW, bool), np.zeros(HW, bool)
    one[40:80, 20:60], other[40:80, 45:95] = True, True
    both, strip = one & other, np.zeros(HW, bool)
    strip[:, 54:60] = True
    right = np.stack([one, other & ~one])
    wrong = np.stack([one & ~(both & strip), other])  # the rest of the overlap is seen of both
    fronts = []
    for seen in (right, right, right, wrong):

        def predict(features, boxes_xyxy=None, prior_masks=None, *, seen=seen, **_):
            return AmodalPrediction.from_masks(
                np.stack([one, other]), seen, np.ones(2, np.float32)
            )

        rig.predictor.predict = predict
        answer = rig.camera.ask(picture(), [(20, 40, 60, 80), (45, 40, 95, 80)])
        fronts.append(next(k for k, mask in enumerate(answer.masks) if mask.layer == 0))
    return fronts


def test_earlier_images_outweigh_masks_that_are_wrong_once(rig):
    assert _turned_in_the_last(rig) == [0, 0, 0, 0]


def test_without_earlier_images_the_order_would_turn(rig, monkeypatch):
    monkeypatch.setattr(OcclusionMemory, "_learn", lambda *given: None)
    assert _turned_in_the_last(rig) == [0, 0, 0, 1]


def test_depth_decides_and_contradictions_are_counted(make_rig):
    """Masks say that the second box lies in front, depth that the first does."""
    rig = make_rig(depth_topic="camera/depth")
    depths = rig.camera.node.create_publisher(Image, "camera/depth", 10)
    infos = rig.camera.node.create_publisher(CameraInfo, "camera/camera_info", 10)
    rig.camera.wait(depths.get_subscription_count, "the subscription of depth")
    rig.camera.wait(infos.get_subscription_count, "the subscription of camera_info")
    values = np.full(HW, 800, np.uint16)
    values[:, :40] = 500
    header = rig.camera.header()
    infos.publish(info_message(header))
    depths.publish(depth_message(header, values=values))
    rig.camera.spin_for(0.3)
    rig.camera.images.publish(image_message(picture(), header))
    rig.camera.boxes.publish(boxes_message([BACK, FRONT], header))
    answer = rig.camera.wait_answer(header)
    assert list(answer.contradiction_indices) == [1, 0]
    assert rig.counts("occlusion_contradictions") == 1
    assert list(answer.masks[0].occluder_indices) == []


def test_label_images_are_made_while_somebody_subscribes(rig, monkeypatch):
    made = []

    def spy(objects, header, image_hw):
        made.append(len(objects))
        return label_messages(objects, header, image_hw)

    label_messages = label_outputs.label_messages
    monkeypatch.setattr(label_outputs, "label_messages", spy)
    rig.camera.ask(picture(), [BACK, FRONT])
    assert made == []
    kinds = {
        "label_image": Image,
        "label_info": LabelInfo,
        "semantic_image": Image,
        "semantic_info": LabelInfo,
        "outlines": ImageMarker,
    }
    came = {name: rig.camera.subscribe(kind, f"amodal/{name}") for name, kind in kinds.items()}
    publishers = {p.topic_name: p for p in rig.node.publishers}
    for name in kinds:
        count = publishers[f"/amodal/{name}"].get_subscription_count
        rig.camera.wait(count, f"the subscription of {name}")
    header = rig.camera.send(picture(), [BACK, FRONT])
    answer = rig.camera.wait_answer(header)
    rig.camera.wait(lambda: all(came.values()), "all of them")
    assert made == [2]
    assert all(messages[0].header == header for messages in came.values())
    labels = np.frombuffer(came["label_image"][0].data, np.uint16).reshape(HW)
    for tracked in decode_masks(answer):
        np.testing.assert_array_equal(labels == tracked.track_id, tracked.visible_mask)
    classes = np.frombuffer(came["semantic_image"][0].data, np.uint8).reshape(HW)
    np.testing.assert_array_equal(classes == 255, labels == 65535)
    assert len(came["outlines"][0].points) > 8
