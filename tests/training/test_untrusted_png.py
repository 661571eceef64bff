# SPDX-License-Identifier: Apache-2.0
"""PNGs whose notes on colours are out of place, as some of tuxpaint's are, are read in silence."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest

from training.untrusted import CorruptRecordError, decode_rgba


def png_with_late_srgb() -> tuple[np.ndarray, bytes]:
    """(5, 7, 4) uint8 RGBA, and its file with a second note behind the pixels' begin."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    chunk = b"sRGB\x00"
    note = (1).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    end = data.rindex(b"IEND") - 4
    return pixels, data[:end] + note + data[end:]


def test_no_line_of_libpng_reaches_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    pixels, data = png_with_late_srgb()
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert "libpng warning" in capfd.readouterr().err, "this file does not provoke libpng"
    assert np.array_equal(decode_rgba(data, "stamp.png", None), pixels)
    assert capfd.readouterr().err == ""


def test_a_png_that_ends_early_is_still_refused() -> None:
    _, data = png_with_late_srgb()
    with pytest.raises(CorruptRecordError, match=r"stamp\.png"):
        decode_rgba(data[:40], "stamp.png", None)
