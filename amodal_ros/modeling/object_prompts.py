# SPDX-License-Identifier: Apache-2.0
"""Prompts of a flat batch of objects: boxes, points, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from amodal_ros.errors import InvalidInputError

POSITIVE, NEGATIVE, PADDING = 1, 0, -1
BOX_CORNERS = (2, 3)


@dataclass(frozen=True, eq=False)
class ObjectPrompts:
    """Prompts of N objects in pixels of the input frame; a box, points, or both for each.

    Attributes:
        boxes_xyxy: ``(N, 4)`` float32, or None.
        point_coords: ``(N, P, 2)`` float32 (x, y), or None.
        point_labels: ``(N, P)``: 1 inside the object, 0 outside it, -1 padding.
    """

    boxes_xyxy: torch.Tensor | None = None
    point_coords: torch.Tensor | None = None
    point_labels: torch.Tensor | None = None

    def __post_init__(self) -> None:
        """Check that something is asked for and that the shapes agree."""
        if (self.point_coords is None) != (self.point_labels is None):
            raise InvalidInputError("point_coords and point_labels must be given together")
        if self.boxes_xyxy is None and self.point_coords is None:
            raise InvalidInputError("prompts need boxes_xyxy, points, or both; got neither")
        if self.boxes_xyxy is not None and tuple(self.boxes_xyxy.shape[1:]) != (4,):
            raise InvalidInputError(
                f"boxes_xyxy must be (N, 4), got {tuple(self.boxes_xyxy.shape)}"
            )
        if self.point_coords is not None and self.point_labels is not None:
            expected = (*self.point_labels.shape, 2)
            if self.point_labels.ndim != 2 or tuple(self.point_coords.shape) != expected:
                raise InvalidInputError(
                    f"points must be (N, P, 2) with labels (N, P), got "
                    f"{tuple(self.point_coords.shape)} and {tuple(self.point_labels.shape)}"
                )
            if self.boxes_xyxy is not None and len(self.boxes_xyxy) != len(self.point_coords):
                raise InvalidInputError(
                    f"boxes of {len(self.boxes_xyxy)} objects and points of "
                    f"{len(self.point_coords)} do not go together"
                )

    def __len__(self) -> int:
        """Return N."""
        for value in (self.boxes_xyxy, self.point_coords):
            if value is not None:
                return len(value)
        raise InvalidInputError("prompts without boxes and points have no length")

    def as_points(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Write boxes as two points with SAM's labels 2 and 3, ahead of the other points.

        Returns:
            ``(N, P', 2)`` float32 and ``(N, P')`` int32.
        """
        coords, labels = [], []
        if self.boxes_xyxy is not None:
            corners = torch.tensor(BOX_CORNERS, dtype=torch.int32, device=self.boxes_xyxy.device)
            coords.append(self.boxes_xyxy.reshape(-1, 2, 2))
            labels.append(corners.expand(len(self.boxes_xyxy), 2))
        if self.point_coords is not None and self.point_labels is not None:
            coords.append(self.point_coords)
            labels.append(self.point_labels.to(torch.int32))
        return torch.cat(coords, dim=1), torch.cat(labels, dim=1)

    @classmethod
    def concatenate(cls, prompts: Sequence[ObjectPrompts]) -> ObjectPrompts:
        """Join the prompts of several images into one flat batch.

        Objects with fewer points than others are padded with label -1, which SAM encodes as "not
        a point".

        Raises:
            InvalidInputError: Some have boxes and others have not.
        """
        boxes = [p.boxes_xyxy for p in prompts if p.boxes_xyxy is not None]
        if not prompts or len(boxes) not in (0, len(prompts)):
            raise InvalidInputError(
                f"all prompts of a batch must have boxes, or none: {len(boxes)} of {len(prompts)}"
            )
        most = max(0 if p.point_labels is None else p.point_labels.shape[1] for p in prompts)
        padded = [p._padded_points(most) for p in prompts]
        return cls(
            boxes_xyxy=torch.cat(boxes) if boxes else None,
            point_coords=torch.cat([c for c, _ in padded]) if most else None,
            point_labels=torch.cat([label for _, label in padded]) if most else None,
        )

    def _padded_points(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.point_coords is None or self.point_labels is None:
            if self.boxes_xyxy is None:
                raise InvalidInputError("prompts need boxes_xyxy, points, or both; got neither")
            like = self.boxes_xyxy
            return (
                like.new_zeros(len(like), count, 2),
                like.new_full((len(like), count), PADDING),
            )
        missing = count - self.point_labels.shape[1]
        coords = torch.nn.functional.pad(self.point_coords, (0, 0, 0, missing))
        labels = torch.nn.functional.pad(self.point_labels, (0, missing), value=PADDING)
        return coords, labels.to(coords.dtype)

    def to(self, device: torch.device | str) -> ObjectPrompts:
        """Move every tensor to a device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return ObjectPrompts(
            **{name: None if v is None else v.to(device) for name, v in values.items()}
        )


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
