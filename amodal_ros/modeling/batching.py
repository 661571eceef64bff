# SPDX-License-Identifier: Apache-2.0
"""Several images with different numbers of objects as one flat batch, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.prompts import PADDING, Prompts


def index_of_images(counts: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the image of each object of a flat batch.

    Args:
        counts: Objects in each of the B images; 0 is valid.
        device: Where the index is needed.

    Returns:
        ``(sum(counts),)`` int64.
    """
    images = torch.arange(len(counts), device=device)
    return images.repeat_interleave(torch.tensor(list(counts), dtype=torch.int64, device=device))


def split_by_image(values: torch.Tensor, counts: Sequence[int]) -> list[torch.Tensor]:
    """Cut a flat batch ``(sum(counts), ...)`` into one tensor per image."""
    return list(values.split(list(counts)))


def concatenate_prompts(prompts: Sequence[Prompts]) -> Prompts:
    """Join the prompts of several images into one flat batch.

    Objects with fewer points than others are filled up with label -1, which SAM encodes as "not a
    point".

    Raises:
        InvalidInputError: There is nothing to join.
    """
    if not prompts:
        raise InvalidInputError("expected the prompts of at least one image, got none")
    most = max(p.coords.shape[1] for p in prompts)
    coords, labels = [], []
    for p in prompts:
        missing = most - p.coords.shape[1]
        coords.append(F.pad(p.coords, (0, 0, 0, missing)))
        labels.append(F.pad(p.labels, (0, missing), value=PADDING))
    return Prompts(torch.cat(coords), torch.cat(labels))
