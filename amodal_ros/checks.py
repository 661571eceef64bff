# SPDX-License-Identifier: Apache-2.0
"""Argument checks of the core; a failure is an `InvalidInputError` that names the argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from amodal_ros.errors import InvalidInputError


def describe(value: object) -> str:
    """Says what `value` is: dtype and shape of an array, the type of anything else."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    return type(value).__name__


def check_array(
    name: str, value: object, dtype: type[np.generic], shape: Sequence[int | None]
) -> np.ndarray:
    """Checks that `value` is an array of exactly `dtype` whose shape fits `shape`.

    Args:
        name: what to call the argument in the message.
        value: the argument.
        dtype: the one dtype allowed.
        shape: the expected shape; None stands for any length.

    Returns:
        `value` itself.

    Raises:
        InvalidInputError: when it is not such an array.
    """
    if (
        isinstance(value, np.ndarray)
        and value.dtype == np.dtype(dtype)
        and shape_fits(value.shape, shape)
    ):
        return value
    wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
    raise InvalidInputError(
        f"{name}: expected a {np.dtype(dtype)} array of shape {wanted}, got {describe(value)}"
    )


def shape_fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    """Whether `shape` has the lengths of `wanted`, None standing for any length."""
    return len(shape) == len(wanted) and all(
        want in (None, size) for size, want in zip(shape, wanted, strict=True)
    )


def check_hw(name: str, value: Any) -> tuple[int, int]:
    """Checks an image size (height, width), both at least 1, and returns it as plain integers.

    Raises:
        InvalidInputError: when it is not a pair of positive whole numbers.
    """
    if (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(isinstance(size, (int, np.integer)) and size > 0 for size in value)
    ):
        return int(value[0]), int(value[1])
    raise InvalidInputError(f"{name}: expected (height, width), both positive, got {value!r}")


def check_image(image_rgb: object) -> np.ndarray:
    """Checks an RGB image (H, W, 3) uint8 with at least one pixel; it need not be contiguous.

    Raises:
        InvalidInputError: when it is not such an image.
    """
    image = check_array("image_rgb", image_rgb, np.uint8, (None, None, 3))
    if image.size == 0:
        raise InvalidInputError(f"image_rgb: expected at least one pixel, got shape {image.shape}")
    return image
