# SPDX-License-Identifier: Apache-2.0
"""Prompts of N objects in one batch: boxes, points, or both, in SAM's own encoding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from amodal_ros.errors import InvalidInputError

NEGATIVE, POSITIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, PADDING = 0.0, 1.0, 2.0, 3.0, -1.0


@dataclass(frozen=True, eq=False)
class Prompts:
    """What is asked about N objects.

    Attributes:
        coords: ``(N, P, 2)`` float, x and y in input-frame pixels.
        labels: ``(N, P)`` float: 1 positive point, 0 negative point, 2 and 3 the two corners of a
            box, -1 padding.
    """

    coords: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self) -> None:
        if self.coords.ndim != 3 or self.coords.shape[-1] != 2:
            raise InvalidInputError(f"coords must be (N, P, 2), got {tuple(self.coords.shape)}")
        if tuple(self.labels.shape) != tuple(self.coords.shape[:2]):
            raise InvalidInputError(
                f"labels must be {tuple(self.coords.shape[:2])} for coords of shape "
                f"{tuple(self.coords.shape)}, got {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return int(self.coords.shape[0])

    @classmethod
    def build(
        cls,
        *,
        boxes_xyxy: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
    ) -> Prompts:
        """Combine boxes and points in the order of the official prompt encoder.

        Points come first, then the corners of the box. Without a box one padding point is
        appended, as SAM does.

        Args:
            boxes_xyxy: ``(N, 4)`` float, input-frame pixels.
            points: ``(N, K, 2)`` float, input-frame pixels.
            point_labels: ``(N, K)``: 1 positive, 0 negative, -1 padding where an object has fewer
                points than K.

        Raises:
            InvalidInputError: Nothing was given, points came without labels, or sizes disagree.
        """
        if (points is None) != (point_labels is None):
            raise InvalidInputError("points and point_labels must be given together")
        coords, labels = [], []
        if points is not None and point_labels is not None:
            coords.append(points.float())
            labels.append(point_labels.float())
        if boxes_xyxy is not None:
            if boxes_xyxy.ndim != 2 or boxes_xyxy.shape[1] != 4:
                raise InvalidInputError(
                    f"boxes_xyxy must be (N, 4), got {tuple(boxes_xyxy.shape)}"
                )
            coords.append(boxes_xyxy.float().reshape(-1, 2, 2))
            corners = coords[-1].new_tensor([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT])
            labels.append(corners.expand(boxes_xyxy.shape[0], 2))
        elif points is not None:
            coords.append(points.new_zeros((points.shape[0], 1, 2), dtype=torch.float32))
            labels.append(points.new_full((points.shape[0], 1), PADDING, dtype=torch.float32))
        if not coords:
            raise InvalidInputError("a prompt needs boxes_xyxy or points, got neither")
        if len({part.shape[0] for part in coords}) > 1:
            counts = [part.shape[0] for part in coords]
            raise InvalidInputError(f"points and boxes must be of the same N, got {counts}")
        return cls(torch.cat(coords, dim=1), torch.cat(labels, dim=1))


def embed_prompts(
    prompt_encoder: nn.Module, coords: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Embed prompts with SAM's official prompt encoder, all label kinds in one batch.

    The official module assigns through masks, which bakes the traced batch into a graph; this is
    the same sum over the same weights.

    Args:
        prompt_encoder: Official ``PromptEncoder`` of ``segment_anything`` or ``mobile_sam``.
        coords: ``(N, P, 2)`` input-frame pixels.
        labels: ``(N, P)`` float, see :class:`Prompts`.

    Returns:
        Sparse embeddings ``(N, P, 256)``.
    """
    height, width = prompt_encoder.input_image_size
    relative = (coords + 0.5) / coords.new_tensor([width, height])
    position = prompt_encoder.pe_layer._pe_encoding(relative)
    table = torch.cat([part.weight for part in prompt_encoder.point_embeddings], dim=0)
    kinds = table[labels.clamp(min=0.0).long()]
    is_padding = (labels < 0.0).unsqueeze(-1)
    return torch.where(is_padding, prompt_encoder.not_a_point_embed.weight, position + kinds)
