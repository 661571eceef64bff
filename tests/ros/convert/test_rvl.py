# SPDX-License-Identifier: Apache-2.0
"""RVL depth: against an encoder written after the paper, and bytes worked out by hand."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.compressed import decode_rvl


def encode_rvl(depth: np.ndarray) -> bytes:
    """Number by number, as the paper's program goes."""
    nibbles: list[int] = []

    def write(number: int) -> None:
        while True:
            nibble, number = number & 7, number >> 3
            nibbles.append(nibble | (8 if number else 0))
            if not number:
                return

    values, at, previous = depth.ravel().astype(int).tolist(), 0, 0
    while at < len(values):
        zeros = 0
        while at + zeros < len(values) and values[at + zeros] == 0:
            zeros += 1
        at += zeros
        count = 0
        while at + count < len(values) and values[at + count] != 0:
            count += 1
        write(zeros)
        write(count)
        for value in values[at : at + count]:
            difference = value - previous
            write((difference << 1) ^ (difference >> 31))
            previous = value
        at += count
    nibbles += [0] * (-len(nibbles) % 8)
    words = [
        int("".join(f"{n:x}" for n in nibbles[k : k + 8]), 16) for k in range(0, len(nibbles), 8)
    ]
    height, width = depth.shape
    return struct.pack(f"<II{len(words)}I", width, height, *words)


def scene(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    depth = (1000 + 300 * np.sin(np.arange(40 * 56) / 50)).reshape(40, 56)
    depth += rng.integers(-20, 20, depth.shape)
    depth[rng.random(depth.shape) < 0.2] = 0
    depth[5:9, 10:30] = rng.integers(1, 65536, (4, 20))
    return depth.astype(np.uint16)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_encoded_comes_back(seed):
    depth = scene(seed)
    np.testing.assert_array_equal(decode_rvl(encode_rvl(depth)), depth)


@pytest.mark.parametrize(
    "depth",
    [
        np.zeros((3, 5), np.uint16),
        np.full((3, 5), 65535, np.uint16),
        np.array([[0, 7]], np.uint16),
        np.array([[7, 0]], np.uint16),
    ],
)
def test_edges(depth):
    np.testing.assert_array_equal(decode_rvl(encode_rvl(depth)), depth)


def test_bytes_by_hand():
    # Two zeros; three depths: 5 (+5 -> 10 = 0b1_010), 4 (-1 -> 1), 6 (+2 -> 4).
    nibbles = "2" + "3" + "a1" + "1" + "4" + "00"
    data = struct.pack("<III", 5, 1, int(nibbles, 16))
    np.testing.assert_array_equal(decode_rvl(data), [[0, 0, 5, 4, 6]])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "of 0 bytes is too short"),
        (struct.pack("<III", 0, 5, 0), "claims 0x5 pixels"),
        (struct.pack("<III", 70000, 70000, 0), "claims 70000x70000 pixels"),
        (struct.pack("<III", 4, 1, 0x11200000), "damaged after 2 of 4"),
        (struct.pack("<III", 4, 1, 0x16111111), "damaged after 0 of 4"),
        (struct.pack("<IIII", 4, 1, 0xFFFFFFFF, 0xFFFFFFFF), "in the middle of a number"),
        (struct.pack("<IIII", 4, 1, 0xFFFFFFFF, 0xFFFFFFF0), "more than 32 bits"),
        (struct.pack("<III", 400, 1, 0x11211211), "damaged"),
    ],
)
def test_damaged_data_are_refused(data, text):
    with pytest.raises(InvalidInputError, match=text):
        decode_rvl(data)


def test_any_cut_is_refused_or_decoded_but_nothing_else():
    data = encode_rvl(scene(0))
    for end in range(8, len(data), 97):
        with pytest.raises(InvalidInputError):
            decode_rvl(data[:end])


def test_any_bytes_are_refused_or_decoded_but_nothing_else():
    rng = np.random.default_rng(0)
    decoded = 0
    for _ in range(2000):
        body = rng.integers(0, 256, rng.integers(0, 60), np.uint8).tobytes()
        try:
            depth = decode_rvl(struct.pack("<II", 3, int(rng.integers(1, 9))) + body)
        except InvalidInputError:
            continue
        decoded += 1
        assert depth.dtype == np.uint16
    assert decoded
