# SPDX-License-Identifier: Apache-2.0
"""Inputs of other kinds: compressed images, no detector, yolo_ros boxes."""

from __future__ import annotations

import array
import sys
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from vision_msgs.msg import BoundingBox2D, Detection2DArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.compressed import compressed_to_rgb
from amodal_ros.ros.convert.detections import detections_from_message
from amodal_ros.ros.convert.yolo import boxes_from_yolo, yolo_message_type
from tests.ros.ros_rig import boxes_message, image_message, picture

BOX = (20.0, 30.0, 60.0, 80.0)


def smooth(height=120, width=160) -> np.ndarray:
    """(H, W, 3) uint8 of low frequencies, which JPEG keeps, different in each channel."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)


def compressed(rgb: np.ndarray, suffix: str, header: Header | None = None) -> CompressedImage:
    _, data = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    message = CompressedImage(header=header or Header(), format="rgb8; jpeg compressed bgr8")
    message.data = array.array("B", data.tobytes())
    return message


def test_png_comes_back_exactly_and_jpeg_nearly():
    rgb = smooth()
    np.testing.assert_array_equal(compressed_to_rgb(compressed(rgb, ".png")), rgb)
    decoded = compressed_to_rgb(compressed(rgb, ".jpg"))
    assert decoded.shape == rgb.shape
    assert np.abs(decoded.astype(int) - rgb).mean() < 3


def test_grey_and_16_bit_pictures_become_rgb():
    grey = smooth()[..., 2]
    _, png = cv2.imencode(".png", grey.astype(np.uint16) * 257)
    message = CompressedImage(data=array.array("B", png.tobytes()))
    np.testing.assert_array_equal(compressed_to_rgb(message), np.repeat(grey[..., None], 3, -1))


def damaged() -> dict[str, bytes]:
    jpeg = bytes(compressed(smooth(), ".jpg").data)
    png = bytes(compressed(smooth(), ".png").data)
    at = jpeg.index(b"\xff\xc0")
    return {
        "empty": b"",
        "short": jpeg[:1],
        "text": b"no picture at all, but long enough to be one",
        "cut jpeg": jpeg[: len(jpeg) // 2],
        "cut jpeg with an end": jpeg[: len(jpeg) // 2] + b"\xff\xd9",
        "cut png": png[: len(png) // 2],
        "huge jpeg": jpeg[: at + 5] + b"\xff\xff\xff\xff" + jpeg[at + 9 :],
        "huge png": png[:16] + b"\x00\x01\x00\x00" * 2 + png[24:],
        "no pixels": png[:16] + bytes(8) + png[24:],
        "bmp": bytes(cv2.imencode(".bmp", smooth())[1]),
    }


@pytest.mark.parametrize("kind", damaged())
def test_damaged_pictures_are_refused(kind):
    message = CompressedImage(data=array.array("B", damaged()[kind]))
    with pytest.raises(InvalidInputError, match="compressed image"):
        compressed_to_rgb(message)


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_a_whole_jpeg_needs_no_marker_of_its_end(options):
    rgb = smooth()
    rgb[60:] = 128  # as OpenCV paints what is missing
    _, data = cv2.imencode(".jpg", rgb, options)
    whole = CompressedImage(data=array.array("B", data.tobytes()))
    endless = CompressedImage(data=array.array("B", data.tobytes()[:-2]))
    np.testing.assert_array_equal(compressed_to_rgb(endless), compressed_to_rgb(whole))
    for share in (0.3, 0.6):
        cut = data.tobytes()[: int(len(data) * share)] + b"\xff\xd9"
        with pytest.raises(InvalidInputError, match=r"ends in the middle|cannot be decoded"):
            compressed_to_rgb(CompressedImage(data=array.array("B", cut)))


def test_a_16_bit_png_holds_as_many_bits_as_said():
    samples = np.random.default_rng(0).integers(0, 4096, (9, 7), np.uint16)
    message = CompressedImage(data=array.array("B", cv2.imencode(".png", samples)[1].tobytes()))
    np.testing.assert_allclose(
        compressed_to_rgb(message, 12)[..., 0], samples * (255 / 4095), atol=0.51
    )


def test_a_compressed_camera(make_rig):
    rig = make_rig(activate=False, image_transport="compressed")
    assert rig.camera.change_state(1)
    assert rig.camera.change_state(3)
    images = rig.camera.node.create_publisher(CompressedImage, "camera/image_raw/compressed", 5)
    rig.camera.wait(
        lambda: images.get_subscription_count() and rig.camera.boxes.get_subscription_count(),
        "the connection",
    )
    rig.camera.images = images
    rig.wait_connected(rig.camera)
    for suffix, counted in ((".png", 0), ("broken", 1), (".jpg", 1)):
        header = rig.camera.header()
        good = compressed(smooth(), suffix if suffix != "broken" else ".jpg", header)
        if suffix == "broken":
            good.data = good.data[:100]
        images.publish(good)
        rig.camera.boxes.publish(boxes_message([BOX], header))
        if suffix == "broken":
            rig.camera.wait(lambda: rig.counts("dropped_bad_image") == 1, "the counter")
        else:
            assert len(rig.camera.wait_answer(header).masks) == 1
        assert rig.counts("dropped_bad_image") == counted
    np.testing.assert_array_equal(rig.predictor.images[0], smooth())


def test_without_a_detector_every_image_is_answered(make_rig):
    rig = make_rig(activate=False, detections_topic="")
    assert rig.camera.change_state(1)
    assert rig.camera.change_state(3)
    masks = next(p for p in rig.node.publishers if p.topic_name == "/amodal/masks")
    rig.camera.wait(
        lambda: rig.camera.images.get_subscription_count() and masks.get_subscription_count(),
        "the connection",
    )
    for _ in range(2):
        header = rig.camera.header()
        rig.camera.images.publish(image_message(picture(), header))
        assert rig.camera.wait_answer(header).masks == []
    rig.camera.images.publish(image_message(picture(), Header()))
    rig.camera.wait(lambda: rig.counts("dropped_unstamped") == 1, "the counter")


def yolo_array(header, kind):
    """Shaped as yolo_msgs/DetectionArray, whose package is not needed here."""
    x0, y0, x1, y1 = BOX
    if kind == "vision_msgs":
        box = BoundingBox2D(size_x=x1 - x0, size_y=y1 - y0)
        box.center.position.x, box.center.position.y = (x0 + x1) / 2, (y0 + y1) / 2
    else:
        position = SimpleNamespace(x=(x0 + x1) / 2, y=(y0 + y1) / 2)
        box = SimpleNamespace(
            center=SimpleNamespace(position=position, theta=0.0),
            size=SimpleNamespace(x=x1 - x0, y=y1 - y0),
        )
    named = SimpleNamespace(class_id=41, class_name="cup", score=0.75, id="7", bbox=box)
    nameless = SimpleNamespace(class_id=39, class_name="", score=0.5, id="", bbox=box)
    return SimpleNamespace(header=header, detections=[named, nameless])


@pytest.mark.parametrize("kind", ["yolo_msgs", "vision_msgs"])
def test_yolo_boxes(kind):
    header = Header(frame_id="camera")
    message = boxes_from_yolo(yolo_array(header, kind))
    assert message.header == header
    found = detections_from_message(message, (120, 160)).detections
    np.testing.assert_allclose(found.boxes_xyxy, [BOX, BOX])
    assert found.class_ids == ("cup", "39")
    assert found.detection_ids == ("7", "")
    np.testing.assert_allclose(found.scores, [0.75, 0.5])


def test_the_type_of_yolo_is_imported_only_when_asked_for(monkeypatch):
    with pytest.raises(InvalidInputError, match="that package cannot be imported"):
        yolo_message_type()
    package, messages = ModuleType("yolo_msgs"), ModuleType("yolo_msgs.msg")
    messages.DetectionArray = Detection2DArray
    monkeypatch.setitem(sys.modules, "yolo_msgs", package)
    monkeypatch.setitem(sys.modules, "yolo_msgs.msg", messages)
    assert yolo_message_type() is Detection2DArray


def test_a_node_that_cannot_import_the_type_says_so(make_rig, capfd):
    rig = make_rig(activate=False, detections_type="yolo_msgs")
    assert not rig.camera.change_state(1)
    assert "that package cannot be imported" in capfd.readouterr().err
    assert rig.camera.set_parameters(detections_type="vision_msgs") == []
    assert rig.camera.change_state(1)
