# SPDX-License-Identifier: Apache-2.0
"""The page driven as a person would, by mouse, keyboard and touch, with the shipped model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from amodal_ros.image.rle import decode_rle
from tests.web.browser import Visitor
from web.server import PageServer

pytestmark = pytest.mark.slow

# Objects of the first sample picture.
BALL = [194, 459, 325, 628]
MILK = [318, 365, 495, 742]


def test_draw_refine_and_a_second_object(visitor_of_the_shipped_model: Visitor) -> None:
    visitor = visitor_of_the_shipped_model
    page = visitor.page
    visitor.visit()
    visitor.draw(BALL, 1)
    assert "its box" in page.locator(".numbers").inner_text()
    (first,) = visitor.coco()["annotations"]

    page.check("input[name=tool][value=on]", force=True)
    visitor.click(250, 540)
    visitor.answered(1)
    assert "its last mask" in page.locator(".numbers").inner_text()
    (refined,) = visitor.coco()["annotations"]
    assert refined["prompt"]["points"] == [
        [pytest.approx(250, abs=1), pytest.approx(540, abs=1), 1]
    ]
    assert refined["prompt"]["box"] == first["prompt"]["box"]

    page.check("input[name=tool][value=box]", force=True)
    visitor.drag((BALL[0], 543.5), (BALL[0] - 20, 543.5))  # the handle in the middle of an edge
    visitor.answered(1)
    assert "its last mask" in page.locator(".numbers").inner_text()
    (moved,) = visitor.coco()["annotations"]
    assert moved["prompt"]["box"][0] == pytest.approx(BALL[0] - 20, abs=3)
    assert moved["prompt"]["box"][1:] == refined["prompt"]["box"][1:]

    visitor.draw(MILK, 2)
    assert "Object 2 hides" in page.locator("#order").inner_text()
    assert "of object 1" in page.locator("#order").inner_text()
    page.check("#show-prior")
    visitor.screenshot("desktop-light")
    page.emulate_media(color_scheme="dark")
    visitor.screenshot("desktop-dark")

    page.click("#undo")
    visitor.answered(1)
    assert visitor.coco()["annotations"] == [moved]
    page.click("#clear")
    assert page.locator(".card").count() == 0
    assert page.locator("#save-coco").is_disabled()
    page.click("#undo")
    visitor.answered(1)


def test_what_guides_reaches_the_model(visitor: Visitor) -> None:
    """With the small model the amodal mask is M_spec, so M_spec can be seen."""
    visitor.visit()
    visitor.draw(BALL, 1)
    (first,) = visitor.coco()["annotations"]
    side = BALL[2] - BALL[0], BALL[3] - BALL[1]
    assert first["area"] == pytest.approx(1.2 * side[0] * 1.2 * side[1], rel=0.05)
    visitor.drag((BALL[2], 543.5), (BALL[2] + 30, 543.5))
    visitor.answered(1)
    (by_mask,) = visitor.coco()["annotations"]
    assert by_mask["area"] < 1.1 * first["area"]  # the last mask, and what is seen beyond it
    visitor.page.check("input[value=box][name^=guide]", force=True)
    visitor.answered(1)
    (by_box,) = visitor.coco()["annotations"]
    assert by_box["area"] == pytest.approx(first["area"] * (side[0] + 30) / side[0], rel=0.05)
    visitor.page.check("input[value=mask][name^=guide]", force=True)
    visitor.answered(1)
    visitor.drag((240, BALL[1]), (660, BALL[1]))  # the border: far away, where no mask guides
    visitor.answered(1)
    (moved,) = visitor.coco()["annotations"]
    assert moved["bbox"][0] == pytest.approx(by_box["bbox"][0] + 420, abs=6)
    assert moved["area"] == pytest.approx(by_box["area"], rel=0.05)


def test_points_alone(visitor: Visitor) -> None:
    visitor.visit()
    visitor.page.check("input[name=tool][value=off]", force=True)
    visitor.click(400, 550)
    assert "Choose an object first" in visitor.status()
    visitor.page.check("input[name=tool][value=on]", force=True)
    visitor.click(400, 550)
    visitor.answered(1)
    (found,) = visitor.coco()["annotations"]
    assert found["prompt"]["box"] is None
    assert found["prompt"]["points"] == [[pytest.approx(400, abs=1), pytest.approx(550, abs=1), 1]]


def test_point_off_the_object(visitor: Visitor) -> None:
    visitor.visit()
    visitor.draw(BALL, 1)
    visitor.page.keyboard.press("-")
    visitor.click(300, 500)
    visitor.answered(1)
    (found,) = visitor.coco()["annotations"]
    assert found["prompt"]["points"] == [[pytest.approx(300, abs=1), pytest.approx(500, abs=1), 0]]


def test_by_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.page
    visitor.visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.locator("#stage").focus()
    page.keyboard.press("n")
    assert "New box" in visitor.status()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Alt+ArrowUp")
    assert visitor.status() == "Box from 324, 359, 320 wide, 253 high."
    page.keyboard.press("Enter")
    visitor.answered(1)
    (found,) = visitor.coco()["annotations"]
    assert found["prompt"]["box"] == [324, 359, 644, 612]

    page.locator("#stage").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    assert visitor.status() == "Cross at 653, 480."
    page.keyboard.press("Enter")
    visitor.answered(1)
    assert visitor.coco()["annotations"][0]["prompt"]["points"] == [[653, 480, 1]]
    page.locator("#stage").focus()
    page.keyboard.press("Delete")
    assert visitor.status() == "Object 1 removed."
    assert page.locator(".card").count() == 0
    page.keyboard.press("Control+z")
    visitor.answered(1)


@pytest.fixture
def own_picture(tmp_path: Path) -> Path:
    path = tmp_path / "my cat.png"
    Image.fromarray(data.chelsea()).save(path)
    return path


def test_own_picture_and_downloads(visitor: Visitor, own_picture: Path) -> None:
    visitor.visit()
    visitor.draw(BALL, 1)
    visitor.open(own_picture)
    assert visitor.picture_size == (451, 300)
    assert visitor.page.locator(".card").count() == 0  # objects of the other picture
    visitor.draw([90, 10, 330, 280], 1)
    coco = visitor.coco()
    (found,) = coco["annotations"]
    assert coco["images"][0]["file_name"] == "my cat.png"
    files = visitor.masks()
    assert sorted(files) == ["object_1_amodal.png", "object_1_visible.png", "overlay.png"]
    for kind, key in (("amodal", "segmentation"), ("visible", "visible_mask")):
        picture = files[f"object_1_{kind}.png"]
        assert set(np.unique(picture)) <= {0, 255}
        np.testing.assert_array_equal(picture[..., 0] > 0, decode_rle(found[key]))
    assert found["area"] == int((files["object_1_amodal.png"][..., 0] > 0).sum())
    overlay = files["overlay.png"]
    changed = (overlay != data.chelsea()).any(axis=2)
    assert changed[decode_rle(found["visible_mask"])].mean() > 0.95
    assert not changed[:, :40].any()


def test_exif_orientation_is_obeyed(visitor: Visitor, tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(data.chelsea()).save(path, exif=exif)
    visitor.visit()
    visitor.open(path)
    assert visitor.picture_size == (300, 451)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_picture_dropped_or_pasted(visitor: Visitor, own_picture: Path, event: str) -> None:
    visitor.visit()
    transfer = visitor.page.evaluate_handle(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "x.png", {type: "image/png"}));
            return transfer;
        }""",
        list(own_picture.read_bytes()),
    )
    if event == "drop":
        visitor.page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    else:
        visitor.page.evaluate(
            """(transfer) => document.dispatchEvent(
                new ClipboardEvent("paste", {clipboardData: transfer}))""",
            transfer,
        )
    visitor.page.locator("#stage[aria-label*='x.png, 451 by 300']").wait_for()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"no picture", "notes.txt (text/plain): this browser cannot read it"),
        ("broken.png", b"\x89PNG\r\n\x1a\n broken", "broken.png (image/png): this browser"),
        ("empty.jpg", b"", "empty.jpg: the file is empty"),
    ],
)
def test_wrong_file(
    visitor: Visitor, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    visitor.visit()
    visitor.page.set_input_files("#file", str(path))
    assert message in visitor.error()
    assert visitor.picture_size == (1280, 960)  # the picture before is still there
    if name == "notes.txt":
        visitor.screenshot("wrong-file")


def test_large_picture_is_reduced(visitor: Visitor, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.fromarray(np.full((4000, 6000, 3), 90, np.uint8)).save(path)
    visitor.visit()
    visitor.open(path)
    assert visitor.status() == "Reduced from 6000 × 4000 to 4898 × 3265 pixels."


def test_box_that_is_too_small(visitor: Visitor) -> None:
    visitor.visit()
    visitor.drag((200, 200), (230, 201))
    assert "too small" in visitor.status()
    visitor.click(60, 60)
    assert "Drag across an object" in visitor.status()
    assert visitor.page.locator(".card").count() == 0


def test_another_engine_while_one_is_loading(visitor: Visitor) -> None:
    """What was asked of the first one is answered by the second one."""
    page = visitor.page
    page.goto(visitor.url + "?engine=auto")
    visitor.page.locator("#stage[aria-label*=pixels]").wait_for()
    page.click("#suggest")
    page.select_option("#engine", "wasm")
    visitor.answered(1)
    assert page.locator("html[data-ready]").count() == 1
    assert "offers no WebGPU" not in page.locator("#facts").inner_text()  # not asked for
    page.select_option("#engine", "auto")
    page.locator("html[data-ready]").wait_for(state="attached")
    visitor.draw(MILK, 2)


def test_on_a_phone(chromium: Any, server: PageServer) -> None:
    profile = chromium.new_context(
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
        color_scheme="dark",
    )
    visitor = Visitor(profile.new_page(), server.url)
    visitor.visit()
    touch = profile.new_cdp_session(visitor.page)
    corners = [(BALL[0], BALL[1]), (260, 540), (BALL[2], BALL[3])]
    for kind, corner in zip(("touchStart", "touchMove", "touchMove"), corners, strict=True):
        x, y = visitor.place(*corner)
        points = [{"x": x, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    visitor.answered(1)
    (found,) = visitor.coco()["annotations"]
    assert found["prompt"]["box"] == pytest.approx(BALL, abs=4)
    wide = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390  # nothing sticks out
    visitor.screenshot("phone-dark")
    assert visitor.problems == []
    profile.close()
