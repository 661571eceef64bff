# SPDX-License-Identifier: Apache-2.0
"""One step: from a step's micro-batches to the gradients of model and discriminator (Eq. 7).

Every term is a mean over all objects of the step, on whatever device and in whatever micro-batch
they are; so gradients depend neither on the number of devices nor on the accumulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.amodal_model import AmodalModel
from training.losses.adversarial import (
    Discriminator,
    discriminator_loss,
    masks_for_discriminator,
    model_loss,
    probabilities_for_discriminator,
)
from training.losses.segmentation import (
    consistency_loss,
    has_both_regions,
    intrusion_loss,
    occlusion_loss,
    segmentation_loss,
)
from training.trainer.config import TrainConfig
from training.trainer.forward import FramePrediction, frames_of, predict
from training.trainer.loading import Batch, BatchPlan
from training.trainer.phases import adversarial_ramp, mask_noise
from training.trainer.world import World

# Terms that are means over the objects with a visible and an occluded part, and over all objects;
# the others are means over the objects of which the whole is known.
_PAIR_TERMS = ("consistency", "occlusion", "iou_occ")
_ALL_TERMS = ("visible_dice", "visible_bce", "visible", "intrusion", "iou_visible")


@dataclass(frozen=True)
class _Counts:
    """Objects of a step over all devices; none of the three is below 1."""

    objects: float
    known: float
    pairs: float

    def of(self, term: str) -> float:
        """Return over how many objects a term is a mean."""
        if term in _PAIR_TERMS:
            return self.pairs
        return self.objects if term in _ALL_TERMS else self.known


@dataclass
class _Sums:
    """Running sums of the terms of a step."""

    values: dict[str, torch.Tensor] = field(default_factory=dict)

    def add(self, name: str, per_object: torch.Tensor) -> None:
        """Add a value per object ``(N,)``."""
        total = per_object.detach().double().sum()
        self.values[name] = self.values[name] + total if name in self.values else total


class GradientStep:
    """Computes the gradients of a step; the optimisers are the caller's."""

    def __init__(
        self,
        config: TrainConfig,
        model: AmodalModel,
        discriminator: Discriminator | None,
        world: World,
        plan: BatchPlan,
    ) -> None:
        """Keep what all steps share; ``discriminator`` is None where L_hol is off."""
        self._config = config
        self._model = model
        self._discriminator = discriminator
        self._world = world
        self._plan = plan

    def run(self, batches: Sequence[Batch], step: int) -> dict[str, float]:
        """Add the step's gradients to the parameters and sum them over the devices.

        Returns:
            The terms of the loss and what is told beside them: means over the step's objects.
        """
        counts = self._count(batches)
        if self._discriminator is not None:
            self._discriminator.update_norms()
        sums = _Sums()
        for micro, batch in enumerate(batches):
            first = self._plan.first_item(step, micro, self._world.rank)
            # Of the seed and the items alone: no random state has to survive a restart.
            torch.manual_seed(_mix(self._config.seed, first))
            with self._world.autocast():
                frames = predict(self._model, batch, self._config.video)
            self._backward(frames, step, counts, sums)
        self._world.sum_gradients(_trained(self._model))
        if self._discriminator is not None:
            self._world.sum_gradients(_trained(self._discriminator))
        return self._means(sums, counts, step)

    def _count(self, batches: Sequence[Batch]) -> _Counts:
        objects, known, pairs = 0, 0.0, 0
        for batch in batches:
            for frame in frames_of(batch):
                objects += len(frame)
                known += float(frame.known.sum())
                both = has_both_regions(frame.visible * frame.valid, frame.occluded * frame.valid)
                pairs += int(both.sum())
        counts = torch.tensor(
            [objects, known, pairs], dtype=torch.float64, device=self._world.device
        )
        total, total_known, total_pairs = self._world.sum(counts).tolist()
        if total == 0:
            raise InvalidInputError(f"step without an object: {len(batches)} empty batches")
        return _Counts(total, max(total_known, 1.0), max(total_pairs, 1.0))

    def _backward(
        self,
        frames: Sequence[FramePrediction],
        step: int,
        counts: _Counts,
        sums: _Sums,
    ) -> None:
        weights = self._config.loss
        loss = torch.zeros((), device=self._world.device)
        for frame in frames:
            batch, known = frame.batch, frame.batch.known
            segmentation = segmentation_loss(
                frame.low_res_logits, batch.amodal, batch.valid, weights.bce
            )
            sums.add("dice", segmentation.dice * known)
            sums.add("bce", segmentation.bce * known)
            sums.add("segmentation", segmentation.total * known)
            loss = loss + weights.segmentation * (segmentation.total * known).sum() / counts.known
            visible, occluded = batch.visible * batch.valid, batch.occluded * batch.valid
            if weights.consistency:
                consistency = consistency_loss(frame.embeddings, visible, occluded)
                sums.add("consistency", consistency)
                loss = loss + weights.consistency * consistency.sum() / counts.pairs
            if weights.occlusion:
                hidden = occlusion_loss(
                    frame.low_res_logits, batch.amodal, batch.visible, batch.valid
                )
                sums.add("occlusion", hidden)
                loss = loss + weights.occlusion * hidden.sum() / counts.pairs
            if self._discriminator is not None:
                loss = loss + self._adversarial(frame, step, counts, sums)
            if weights.visible:
                loss = loss + self._visible(frame, counts, sums)
            _add_overlaps(sums, frame)
        if loss.requires_grad:
            loss.backward()

    def _visible(self, frame: FramePrediction, counts: _Counts, sums: _Sums) -> torch.Tensor:
        """Return the weighted terms of the visible mask."""
        weights, batch, logits = self._config.loss, frame.batch, frame.visible_logits
        if logits is None:
            raise InvalidInputError(
                "loss.visible needs a model with visible_output and data of images, got "
                f"loss.visible={weights.visible} without a visible mask; set it to 0"
            )
        outline = segmentation_loss(logits, batch.visible, batch.valid, weights.bce)
        sums.add("visible_dice", outline.dice)
        sums.add("visible_bce", outline.bce)
        sums.add("visible", outline.total)
        loss = weights.visible * outline.total.sum() / counts.objects
        if weights.intrusion and batch.others is not None:
            intrusion = intrusion_loss(logits, batch.others, batch.valid)
            sums.add("intrusion", intrusion)
            loss = loss + weights.intrusion * intrusion.sum() / counts.objects
        return loss

    def _adversarial(
        self, frame: FramePrediction, step: int, counts: _Counts, sums: _Sums
    ) -> torch.Tensor:
        """Run D's own backward pass and return the model's weighted term."""
        config, discriminator = self._config.discriminator, self._discriminator
        if discriminator is None:
            raise InvalidInputError("the adversarial term needs a discriminator, got None")
        batch, known = frame.batch, frame.batch.known
        images = _originals(frame) if config.sees_image else None
        predicted = probabilities_for_discriminator(frame.low_res_logits, batch.valid)
        true = masks_for_discriminator(batch.amodal, batch.valid, discriminator.side)
        noise = mask_noise(config, step)
        if noise:
            predicted = predicted + noise * torch.randn_like(predicted)
            true = true + noise * torch.randn_like(true)
        own, on_true, on_predicted = discriminator_loss(
            discriminator, predicted, true, images, real_label=config.real_label
        )
        ((own * known).sum() / counts.known).backward()
        term = model_loss(discriminator, predicted, images)
        for name, value in (
            ("adversarial", term),
            ("discriminator", own),
            ("d_true", on_true),
            ("d_predicted", on_predicted),
        ):
            sums.add(name, value * known)
        ramp = adversarial_ramp(config, step)
        return self._config.loss.adversarial * ramp * (term * known).sum() / counts.known

    def _means(self, sums: _Sums, counts: _Counts, step: int) -> dict[str, float]:
        names = sorted(sums.values)
        totals = self._world.sum(torch.stack([sums.values[n] for n in names])).tolist()
        means = {name: total / counts.of(name) for name, total in zip(names, totals, strict=True)}
        weights = self._config.loss
        ramp = adversarial_ramp(self._config.discriminator, step)
        means["loss"] = (
            weights.segmentation * means["segmentation"]
            + weights.consistency * means.get("consistency", 0.0)
            + weights.occlusion * means.get("occlusion", 0.0)
            + weights.visible * means.get("visible", 0.0)
            + weights.intrusion * means.get("intrusion", 0.0)
            + weights.adversarial * ramp * means.get("adversarial", 0.0)
        )
        return means


def _add_overlaps(sums: _Sums, frame: FramePrediction) -> None:
    """Count how well the masks fit at the decoder's size: cheap, to watch training by."""
    with torch.no_grad():
        side = frame.low_res_logits.shape[-1]
        batch = frame.batch
        valid = masks_for_discriminator(batch.valid, batch.valid, side).gt(0.5)
        predicted = frame.low_res_logits.gt(0.0) & valid
        true = masks_for_discriminator(batch.amodal, batch.valid, side).gt(0.5)
        unseen = ~masks_for_discriminator(batch.visible, batch.valid, side).gt(0.5)
        both = has_both_regions(batch.visible * batch.valid, batch.occluded * batch.valid)
        sums.add("iou_full", _iou(predicted, true) * batch.known)
        if frame.visible_logits is not None:
            sums.add("iou_visible", _iou(frame.visible_logits.gt(0.0) & valid, ~unseen & valid))
        sums.add("iou_occ", _iou(predicted & unseen, true & unseen) * both)


def _iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """IoU ``(N,)`` of masks ``(N, 1, s, s)`` bool; 0 where both are empty."""
    intersection = (first & second).sum((1, 2, 3))
    return intersection / (first | second).sum((1, 2, 3)).clamp(min=1)


def _originals(frame: FramePrediction) -> torch.Tensor:
    batch = frame.batch
    if batch.originals is None:
        raise InvalidInputError(
            "discriminator.sees_image needs data with original, unoccluded images; for data "
            "without them set discriminator.sees_image=false (closed domain)"
        )
    return batch.originals[batch.image_index]


def _trained(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [p for p in module.parameters() if p.requires_grad]


def _mix(seed: int, index: int) -> int:
    """Spread a seed and an index over 63 bits (splitmix64)."""
    value = (seed * 0x9E3779B97F4A7C15 + index + 0x9E3779B97F4A7C15) & (2**64 - 1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = ((value ^ (value >> shift)) * factor) & (2**64 - 1)
    return (value ^ (value >> 31)) >> 1
