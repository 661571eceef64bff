# SPDX-License-Identifier: Apache-2.0
"""Drives the page in a real browser, as a person would."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scripts.bootstrap import browser as bootstrap_browser

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / ".cache" / "web" / "screenshots"
# A shared machine may be many times slower than an idle one.
PATIENCE_MS = 240_000


def find_browser() -> str:
    """The system's Chromium; skips the test without one."""
    found = bootstrap_browser.find()
    if found is None:
        pytest.skip("needs a browser: sudo apt install chromium")
    return found


def browser_arguments() -> list[str]:
    """Chromium's sandbox does not work for root."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []


def decoded(content: bytes) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


class Visitor:
    """Somebody at the page.

    Args:
        page: of Playwright.
        url: of the server.
    """

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.problems: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on(
            "console",
            lambda line: self.problems.append(line.text) if line.type == "error" else None,
        )

    def visit(self, query: str = "?engine=wasm") -> None:
        """Opens the page and waits until the model is ready."""
        self.page.goto(self.url + query)
        self.page.locator("html[data-ready]").wait_for(state="attached")
        self.page.locator("#stage[aria-label*=pixels]").wait_for()

    @property
    def picture_size(self) -> tuple[int, int]:
        """Width and height, as the page tells a screen reader."""
        label = self.page.locator("#stage").get_attribute("aria-label")
        words = label.split()
        return int(words[-4]), int(words[-2])

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture is on the screen."""
        box = self.page.locator("#stage").bounding_box()
        scale = box["width"] / self.picture_size[0]
        return box["x"] + x * scale, box["y"] + y * scale

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drags the mouse from one pixel of the picture to another."""
        mouse = self.page.mouse
        mouse.move(*self.place(*start))
        mouse.down()
        mouse.move(*self.place((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
        mouse.move(*self.place(*end))
        mouse.up()

    def draw(self, box: list[float], number: int) -> None:
        """Draws a box and waits for the answer for object `number`, and for no other."""
        self.drag((box[0], box[1]), (box[2], box[3]))
        self.answered(number)

    def answered(self, number: int) -> None:
        """Waits until `number` objects have masks and none is at work."""
        self.page.locator(".busy").first.wait_for(state="detached")
        self.page.locator(".share").nth(number - 1).wait_for()
        assert self.page.locator(".share").count() == number

    def click(self, x: float, y: float) -> None:
        """Clicks on a pixel of the picture."""
        self.page.mouse.click(*self.place(x, y))

    def status(self) -> str:
        """The line that screen readers read out."""
        return self.page.locator("#status").inner_text()

    def error(self) -> str:
        """The message of the last error, when it is shown."""
        self.page.locator("#error").wait_for()
        return self.page.locator("#error").inner_text()

    def open(self, path: Path) -> None:
        """Opens a picture by the file button and waits until it is shown."""
        self.page.set_input_files("#file", str(path))
        self.page.locator(f"#stage[aria-label*='{path.name}']").wait_for()

    def coco(self) -> dict[str, Any]:
        """What the COCO button downloads."""
        with self.page.expect_download() as download:
            self.page.click("#save-coco")
        return json.loads(Path(download.value.path()).read_text())

    def masks(self) -> dict[str, np.ndarray]:
        """The PNG files of the archive that the other button downloads, by name."""
        with self.page.expect_download() as download:
            self.page.click("#save-masks")
        with zipfile.ZipFile(download.value.path()) as archive:
            assert archive.testzip() is None
            return {name: decoded(archive.read(name)) for name in archive.namelist()}

    def screenshot(self, name: str) -> None:
        """Keeps a screenshot of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
