# SPDX-License-Identifier: Apache-2.0
"""Image messages to RGB: every encoding, layout and lie."""

from __future__ import annotations

import array
import importlib.util

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.images import (
    SUPPORTED_ENCODINGS,
    image_to_rgb,
    pack_image,
    rgb_to_image,
)

WIDTH, HEIGHT = 640, 48


def message_of(
    pixels: np.ndarray, encoding: str, padding: int = 0, cut_last_padding: bool = False
) -> Image:
    """A message whose rows end in ``padding`` bytes of rubbish."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    padded = np.full((height, rows.shape[1] + padding), 0xA5, np.uint8)
    padded[:, : rows.shape[1]] = rows
    data = array.array("B")
    data.frombytes(padded.tobytes())
    if cut_last_padding and padding:
        data = data[:-padding]
    message = Image(encoding=encoding, height=height, width=width, step=padded.shape[1])
    message.is_bigendian = 0
    message.data = data
    return message


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.mark.parametrize("padding", [0, 1, 17])
@pytest.mark.parametrize("cut_last_padding", [False, True])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("8UC3", [2, 1, 0])],
)
def test_three_channels(rgb, encoding, order, padding, cut_last_padding):
    message = message_of(rgb[..., order], encoding, padding, cut_last_padding)
    np.testing.assert_array_equal(image_to_rgb(message), rgb)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(("encoding", "order"), [("rgba8", [0, 1, 2]), ("bgra8", [2, 1, 0])])
def test_four_channels_lose_their_alpha(rgb, encoding, order, padding):
    alpha = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8)
    message = message_of(np.concatenate([rgb[..., order], alpha], axis=2), encoding, padding)
    np.testing.assert_array_equal(image_to_rgb(message), rgb)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
@pytest.mark.parametrize("padding", [0, 5])
def test_mono8_gives_three_equal_channels(rgb, encoding, padding):
    grey = rgb[..., 0]
    converted = image_to_rgb(message_of(grey, encoding, padding))
    np.testing.assert_array_equal(converted, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 6])
def test_mono16_honours_the_byte_order_and_scales_the_whole_range(big_endian, padding):
    wide = np.random.default_rng(2).integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)
    wide[0, :4] = [0, 257, 32896, 65535]
    message = message_of(wide.astype(">u2" if big_endian else "<u2"), "mono16", padding)
    message.is_bigendian = int(big_endian)
    converted = image_to_rgb(message)
    assert converted.dtype == np.uint8
    assert converted[0, :4, 0].tolist() == [0, 1, 128, 255]
    np.testing.assert_allclose(converted[..., 1], wide / 257.0, atol=0.51)


@pytest.mark.parametrize(
    ("encoding", "luma"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)]
)
def test_yuv422_of_flat_colours(encoding, luma):
    colours = np.array([[200, 30, 40], [20, 180, 60], [30, 60, 210]], np.float64)
    expected = np.repeat(np.repeat(colours[:, None], 32, axis=1), 4, axis=0)
    red, green, blue = np.moveaxis(expected, -1, 0)
    # ITU-R BT.601, video range.
    y = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    packed = np.empty((12, 32, 2), np.uint8)
    packed[..., luma] = np.round(y)
    packed[:, 0::2, 1 - luma] = np.round(u[:, 0::2])
    packed[:, 1::2, 1 - luma] = np.round(v[:, 0::2])
    converted = image_to_rgb(message_of(packed, encoding, padding=4))
    np.testing.assert_allclose(converted, expected, atol=3)


@pytest.mark.parametrize(("encoding", "order"), [("nv12", [0, 1]), ("nv21", [1, 0])])
@pytest.mark.parametrize("padding", [0, 16])
def test_yuv420_of_a_picture(encoding, order, padding):
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :32], picture[16:, 32:] = (200, 30, 40), (20, 180, 60)
    # OpenCV's I420: all of Y, then all of U, then all of V.
    planar = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    colours = planar[32:].reshape(2, 16, 32)[order]
    pixels = np.concatenate([planar[:32], np.stack(colours, axis=-1).reshape(16, 64)])
    message = message_of(pixels, encoding, padding)
    message.height = 32
    np.testing.assert_allclose(image_to_rgb(message), picture, atol=3)
    message.height = 31
    with pytest.raises(InvalidInputError, match="must be even"):
        image_to_rgb(message)


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize(
    ("encoding", "channels", "order"),
    [
        ("rgb16", 3, [0, 1, 2]),
        ("bgr16", 3, [2, 1, 0]),
        ("16UC3", 3, [2, 1, 0]),
        ("rgba16", 4, [0, 1, 2]),
        ("bgra16", 4, [2, 1, 0]),
        ("mono16", 1, [0, 0, 0]),
        ("16UC1", 1, [0, 0, 0]),
    ],
)
def test_16_bits_hold_as_many_as_said(bits, encoding, channels, order):
    samples = np.random.default_rng(4).integers(0, 2**bits, (8, 10, channels)).astype(np.uint16)
    samples[0, 0] = 2**bits - 1
    converted = image_to_rgb(message_of(samples, encoding, padding=1), bits)
    expected = samples[..., order] * (255.0 / (2**bits - 1))
    np.testing.assert_allclose(converted, expected, atol=0.51)


@pytest.mark.parametrize("encoding", ["bayer_rggb16", "bayer_bggr16"])
def test_16_bit_bayer_is_the_same_mosaic(encoding):
    mosaic = np.random.default_rng(5).integers(0, 256, (8, 10)).astype(np.uint8)
    converted = image_to_rgb(message_of(mosaic.astype(np.uint16) * 257, encoding))
    expected = image_to_rgb(message_of(mosaic, encoding.replace("16", "8")))
    np.testing.assert_array_equal(converted, expected)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_mosaic_comes_back(pattern):
    """Of a smooth picture, the mosaic demosaics to the picture: red stays red at its place."""
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 48))
    picture = np.stack([60 + 150 * x, 40 + 60 * y, 220 - 120 * x], axis=-1).astype(np.uint8)
    mosaic = np.empty(picture.shape[:2], np.uint8)
    for place, name in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = picture[row::2, column::2, "rgb".index(name)]
    converted = image_to_rgb(message_of(mosaic, f"bayer_{pattern}8", padding=2))
    difference = np.abs(converted.astype(int) - picture)[2:-2, 2:-2]
    assert difference.max() <= 6


def test_rgb8_is_not_copied(rgb):
    message = message_of(rgb, "rgb8", padding=8)
    converted = image_to_rgb(message)
    message.data[0] = 255 - message.data[0]
    assert converted[0, 0, 0] == message.data[0]


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (33, 1)])
def test_odd_sizes(shape):
    pixels = np.arange(shape[0] * shape[1] * 3, dtype=np.uint8).reshape(*shape, 3)
    np.testing.assert_array_equal(image_to_rgb(message_of(pixels, "rgb8")), pixels)


@pytest.mark.parametrize("encoding", ["", "RGB8", "rgb32", "32FC1", "16SC1", "nv24", "jpeg"])
def test_unsupported_encoding_is_named_with_what_is_supported(rgb, encoding):
    message = message_of(rgb, "rgb8")
    message.encoding = encoding
    with pytest.raises(InvalidInputError, match=f"'{encoding}' is not supported.*bayer_rggb8"):
        image_to_rgb(message)


@pytest.mark.parametrize(
    ("channels", "lie"), [(3, "mono8"), (4, "mono8"), (4, "rgb8"), (3, "yuv422"), (3, "mono16")]
)
def test_encoding_that_claims_too_few_bytes_a_pixel(channels, lie):
    message = message_of(np.zeros((HEIGHT, WIDTH, channels), np.uint8), lie)
    with pytest.raises(InvalidInputError, match=f"has step {channels * WIDTH}.*encoding or width"):
        image_to_rgb(message)


@pytest.mark.parametrize(("channels", "lie"), [(1, "rgb8"), (3, "rgba8"), (1, "mono16")])
def test_encoding_that_claims_too_many_bytes_a_pixel(channels, lie):
    message = message_of(np.zeros((HEIGHT, WIDTH, channels), np.uint8), lie)
    with pytest.raises(InvalidInputError, match=f"has step {channels * WIDTH}, expected at least"):
        image_to_rgb(message)


@pytest.mark.parametrize("change", [-1, 1, -WIDTH * 3, WIDTH * 3])
def test_wrong_data_length(rgb, change):
    message = message_of(rgb, "rgb8")
    data = message.data
    message.data = data[:change] if change < 0 else data + array.array("B", bytes(change))
    expected = f"has {len(data) + change} bytes of data, expected {len(data)}"
    with pytest.raises(InvalidInputError, match=expected):
        image_to_rgb(message)


@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
@pytest.mark.parametrize(("height", "width"), [(0, 0), (0, 640), (480, 0)])
def test_zero_size(encoding, height, width):
    message = Image(encoding=encoding, height=height, width=width, step=0)
    with pytest.raises(InvalidInputError, match="no pixels"):
        image_to_rgb(message)


@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_empty_message_with_a_size(encoding):
    message = Image(encoding=encoding, height=480, width=640, step=640 * 4)
    with pytest.raises(InvalidInputError):
        image_to_rgb(message)


def test_size_that_no_memory_holds():
    message = Image(encoding="rgb8", height=2**32 - 1, width=2**32 - 1, step=2**32 - 1)
    with pytest.raises(InvalidInputError, match="expected at least"):
        image_to_rgb(message)


def test_odd_width_of_yuv422():
    message = message_of(np.zeros((4, 7, 2), np.uint8), "yuv422")
    with pytest.raises(InvalidInputError, match="must be even"):
        image_to_rgb(message)


def test_bayer_of_a_few_pixels():
    message = message_of(np.zeros((2, 2), np.uint8), "bayer_rggb8")
    with pytest.raises(InvalidInputError, match="too small to demosaic"):
        image_to_rgb(message)


def test_rgb_to_image_and_back(rgb):
    header = Header(frame_id="camera")
    header.stamp.sec = 7
    message = rgb_to_image(rgb[:, ::-1], header)
    assert (message.encoding, message.step) == ("rgb8", WIDTH * 3)
    assert message.header == header
    np.testing.assert_array_equal(image_to_rgb(message), rgb[:, ::-1])


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_rgb_to_image_refuses_other_arrays(wrong):
    with pytest.raises(InvalidInputError, match=r"expected \(H, W, 3\) uint8"):
        rgb_to_image(wrong, Header())


def test_pack_image_of_no_pixels():
    message = pack_image(np.empty((0, 0), np.uint8), "mono8", Header())
    assert (message.height, message.width, len(message.data)) == (0, 0, 0)


if importlib.util.find_spec("cv_bridge"):  # a real ROS has it, the wheels do not

    @pytest.mark.parametrize(
        "encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "yuv422", "bayer_rggb8"]
    )
    @pytest.mark.parametrize("padding", [0, 6])
    def test_equals_cv_bridge(encoding, padding):
        from cv_bridge import CvBridge

        channels = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "yuv422": 2}.get(encoding, 1)
        dtype = np.uint16 if encoding == "mono16" else np.uint8
        noise = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (48, 64, channels))
        pixels = cv2.blur(noise.astype(dtype), (5, 5)).reshape(48, 64, channels)
        message = message_of(pixels, encoding, padding)
        reference = CvBridge().imgmsg_to_cv2(message, "rgb8")
        np.testing.assert_allclose(image_to_rgb(message), reference, atol=1)
