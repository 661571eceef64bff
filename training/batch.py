# SPDX-License-Identifier: Apache-2.0
"""What a training step consumes: N objects of B images, or T frames of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch


@dataclass(frozen=True, eq=False)
class TrainBatch:
    """N objects of B images in the model's input frame, S its side.

    Either ``images`` or ``features`` is set. ``features`` are what ``AmodalModel.prefix`` gives
    for the images: the part before the first adapter is frozen, so it may be computed once.

    Attributes:
        images: ``(B, 3, S, S)`` float32, normalised and padded.
        features: tensors of batch B, from ``AmodalModel.prefix``.
        originals: ``(B, 3, S / 4, S / 4)`` float32, normalised: the pictures before anything was
            put in front of the objects, at the size at which the discriminator judges masks
            (A.1.2); None where no such picture exists (closed domain).
        image_index: ``(N,)`` int64, the image of each object.
        prior_masks: M_spec ``(N, 1, S, S)`` float32 in {0, 1}.
        boxes_xyxy: prompt boxes ``(N, 4)`` float32, pixels of the input frame; None: points only.
        points: ``(N, K, 2)`` float32, pixels of the input frame; None: boxes only.
        point_labels: ``(N, K)`` float32: 1 inside the object, 0 outside it, -1 padding.
        amodal: ``(N, 1, S, S)`` float32 in {0, 1}, the whole objects.
        visible: ``(N, 1, S, S)`` float32 in {0, 1}, inside ``amodal``; occluded is the difference.
        valid: ``(N, 1, S, S)`` float32 in {0, 1}: 0 where the input is padding and where the
            object's mask is unknown; such pixels are in no loss.
        keys: names of the N objects, for messages and for a batch that is saved.
        others: ``(N, 1, S, S)`` float32 in {0, 1}, what is seen of other objects; None where no
            source says.
        whole_known: ``(N,)`` float32: 1 where ``amodal`` is the whole object, 0 where all that is
            known is what is seen of it (``amodal`` is then the visible mask); None: 1 for all.
    """

    images: torch.Tensor | None
    features: tuple[torch.Tensor, ...] | None
    originals: torch.Tensor | None
    image_index: torch.Tensor
    prior_masks: torch.Tensor
    boxes_xyxy: torch.Tensor | None
    points: torch.Tensor | None
    point_labels: torch.Tensor | None
    amodal: torch.Tensor
    visible: torch.Tensor
    valid: torch.Tensor
    keys: tuple[str, ...]
    others: torch.Tensor | None = None
    whole_known: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.prior_masks)

    @property
    def known(self) -> torch.Tensor:
        """``(N,)`` float32: ``whole_known``, or 1 for all."""
        if self.whole_known is None:
            return self.amodal.new_ones(len(self))
        return self.whole_known

    @property
    def occluded(self) -> torch.Tensor:
        """``(N, 1, S, S)`` float32 in {0, 1}."""
        return self.amodal - self.visible

    def to(self, device: torch.device | str) -> TrainBatch:
        """Move all tensors."""
        moved: dict[str, torch.Tensor | tuple[torch.Tensor, ...]] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, torch.Tensor):
                moved[field.name] = value.to(device, non_blocking=True)
            elif field.name == "features" and value is not None:
                moved[field.name] = tuple(part.to(device, non_blocking=True) for part in value)
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class TrainClip:
    """T frames of the same N objects (paper 3.5): object i of every frame is the same one.

    Attributes:
        frames: T batches; ``prior_masks`` of the first is M_spec of the prompt, those of the
            others stand in where the previous frame's prediction is empty.
    """

    frames: tuple[TrainBatch, ...]

    def __len__(self) -> int:
        return len(self.frames[0])

    def to(self, device: torch.device | str) -> TrainClip:
        """Move all frames."""
        return TrainClip(tuple(frame.to(device) for frame in self.frames))
