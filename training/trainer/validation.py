# SPDX-License-Identifier: Apache-2.0
"""How well the model completes a fixed set of objects, at the size of its input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from amodal_ros.errors import InvalidInputError
from amodal_ros.metrics import Overlap, c2f, measure_overlap
from amodal_ros.modeling.amodal_model import AmodalModel
from training.losses.segmentation import upsample_logits
from training.trainer.config import TrainConfig
from training.trainer.forward import FramePrediction, predict
from training.trainer.loading import DataSource
from training.trainer.world import World


@dataclass(frozen=True, eq=False)
class Validation:
    """Result of one validation.

    Attributes:
        values: ``miou_full`` and ``miou_occ`` (``c2f`` definition, fractions), ``miou_full`` of
            occluded and of unoccluded objects apart, and their numbers; ``iou_visible`` and
            ``visible_on_others`` (share of the visible mask) of models with a visible mask; None
            for a mean over nothing.
        shown: Predictions of the first objects, on the CPU; for pictures.
    """

    values: dict[str, float | int | None]
    shown: list[FramePrediction]

    def score(self, best_by: str) -> float:
        """Return what the best checkpoint is chosen by; a mean over nothing counts 0."""
        full, occluded = self.values["miou_full"] or 0.0, self.values["miou_occ"] or 0.0
        return {"miou_full": full, "miou_occ": occluded, "mean": (full + occluded) / 2}[best_by]


class Validator:
    """Measures a model on the validation data, spread over all devices."""

    def __init__(
        self, config: TrainConfig, source: DataSource, dataset: Dataset, world: World
    ) -> None:
        """Keep what all validations share.

        Raises:
            InvalidInputError: The data is empty, or has no length.
        """
        length = len(dataset) if hasattr(dataset, "__len__") else 0
        if length == 0:
            raise InvalidInputError("validation data must have a length of at least 1")
        self._config = config
        self._world = world
        self._loader = DataLoader(
            dataset,
            batch_sampler=_Share(length, config.batch.per_device, world),
            collate_fn=source.collate,
        )

    @torch.no_grad()
    def run(self, model: AmodalModel) -> Validation:
        """Measure a model as it is; it is left in the mode in which it came."""
        was_training = model.training
        model.eval()
        overlaps: list[Overlap] = []
        seen: list[tuple[float, float]] = []
        shown: list[FramePrediction] = []
        wanted = self._config.validation.pictures
        for batch in self._loader:
            with self._world.autocast():
                frames = predict(model, batch.to(self._world.device), self._config.video)
            for frame in frames:
                overlaps += measure_frame(frame)
                seen += measure_visible(frame)
                if self._world.is_main and sum(len(f.batch) for f in shown) < wanted:
                    shown.append(_on_cpu(frame))
        model.train(was_training)
        everywhere = [o for part in self._world.gather(overlaps) for o in part]
        values = summarise(everywhere)
        visible = [pair for part in self._world.gather(seen) for pair in part]
        if visible:
            iou, others = np.mean(visible, axis=0).tolist()
            values |= {"iou_visible": iou, "visible_on_others": others}
        return Validation(values, shown)


def measure_frame(frame: FramePrediction) -> list[Overlap]:
    """Count the pixels of N predictions at the size of the input, valid pixels alone."""
    batch = frame.batch
    logits = upsample_logits(frame.low_res_logits, batch.amodal.shape[-1])
    valid = _masks(batch.valid)
    predicted, amodal = _masks(logits) & valid, _masks(batch.amodal) & valid
    visible = _masks(batch.visible) & valid
    return [measure_overlap(p, a, v) for p, a, v in zip(predicted, amodal, visible, strict=True)]


@torch.no_grad()
def measure_visible(frame: FramePrediction) -> list[tuple[float, float]]:
    """IoU of N visible masks, and their share on other objects; empty without visible masks."""
    batch, logits = frame.batch, frame.visible_logits
    if logits is None:
        return []
    valid = batch.valid.gt(0.0)
    predicted = upsample_logits(logits, batch.visible.shape[-1]).gt(0.0) & valid
    true = batch.visible.gt(0.0) & valid
    union = (predicted | true).sum((1, 2, 3)).clamp(min=1)
    iou = (predicted & true).sum((1, 2, 3)) / union
    if batch.others is None:
        return [(value, 0.0) for value in iou.tolist()]
    on_others = (predicted & batch.others.gt(0.0)).sum((1, 2, 3))
    share = on_others / predicted.sum((1, 2, 3)).clamp(min=1)
    return list(zip(iou.tolist(), share.tolist(), strict=True))


def summarise(overlaps: Sequence[Overlap]) -> dict[str, float | int | None]:
    """Compute the ``c2f`` metrics over all objects, and over occluded and unoccluded ones."""
    all_of_them = c2f(overlaps)
    return {
        "miou_full": all_of_them.miou_full,
        "miou_occ": all_of_them.miou_occ,
        "miou_full_occluded": c2f(o for o in overlaps if o.is_occluded).miou_full,
        "miou_full_unoccluded": c2f(o for o in overlaps if not o.is_occluded).miou_full,
        "n": all_of_them.n,
        "n_occluded": all_of_them.n_occluded,
    }


class _Share(Sampler[list[int]]):
    """This device's part of items 0 to ``length - 1``, in batches."""

    def __init__(self, length: int, size: int, world: World) -> None:
        self._items = list(range(world.rank, length, world.size))
        self._size = size

    def __len__(self) -> int:
        return -(-len(self._items) // self._size)

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self._items), self._size):
            yield self._items[start : start + self._size]


def _masks(values: torch.Tensor) -> Any:
    """Turn ``(N, 1, S, S)`` into ``(N, S, S)`` bool: True where positive."""
    return np.asarray(values[:, 0].gt(0.0).cpu().numpy())


def _on_cpu(frame: FramePrediction) -> FramePrediction:
    visible = frame.visible_logits
    return FramePrediction(
        frame.batch.to("cpu"),
        frame.low_res_logits.cpu(),
        frame.embeddings.cpu(),
        None if visible is None else visible.cpu(),
    )
