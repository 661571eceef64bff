# SPDX-License-Identifier: Apache-2.0
"""Schema of a training configuration: every key that exists, its default and its meaning.

OmegaConf checks files and ``key=value`` overrides against these classes; an unknown key is an
error. ``data`` is checked against the data source's own schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from amodal_ros.errors import InvalidInputError

RANDOM_BASE = "random"


@dataclass
class LossConfig:
    """Weights of the terms of Eq. 7; 0 switches a term off.

    Attributes:
        segmentation: L_seg.
        consistency: L_reg.
        adversarial: L_hol.
        occlusion: Dice outside the visible part, which the paper does not have (docs/training.md).
        visible: L_seg of the visible mask, of models that give one (``visible_output``).
        intrusion: Share of the visible mask that lies on other objects, likewise.
        bce: Weight of BCE beside Dice in L_seg, the alpha of Eq. 8.
    """

    segmentation: float = 1.0
    consistency: float = 1.0
    adversarial: float = 1.0
    occlusion: float = 0.0
    visible: float = 0.0
    intrusion: float = 0.0
    bce: float = 10.0


@dataclass
class DiscriminatorConfig:
    """The discriminator of Eq. 10 and how it is trained.

    Attributes:
        sees_image: True: open world, it gets the original image and a mask; False: closed domain,
            the mask alone (A.1.2).
        width: Channels after its first layer.
        lr: Of its own AdamW; constant.
        betas: Of its own AdamW.
        weight_decay: Of its own AdamW.
        real_label: Target for true masks.
        noise: Standard deviation of Gaussian noise on every mask that it sees at the start.
        noise_steps: Steps over which the noise falls linearly to 0.
        warm_up_steps: Steps over which the model's L_hol rises linearly from 0 to its weight: D
            learns from the first step, but its verdict counts only when it means something.
    """

    sees_image: bool = True
    width: int = 64
    lr: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.01
    real_label: float = 0.9
    noise: float = 0.1
    noise_steps: int = 5000
    warm_up_steps: int = 1000


@dataclass
class OptimiserConfig:
    """AdamW of the model (paper, 4.1).

    Attributes:
        lr: Learning rate after the warm-up.
        final_lr: Learning rate of the last step.
        schedule: Shape between the two: linear, cosine or constant.
        warm_up_steps: Steps over which the rate rises linearly from 0.
        weight_decay: Decoupled weight decay.
        betas: Of AdamW.
        clip_norm: Largest norm of the gradient of all weights; 0: no clipping.
    """

    lr: float = 1e-4
    final_lr: float = 5e-5
    schedule: str = "linear"
    warm_up_steps: int = 0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 1.0


@dataclass
class BatchConfig:
    """How many items a step consumes, and how they get there.

    Attributes:
        size: Items (images, or clips) per optimiser step, over all devices.
        per_device: Items that go through a device at once; what is missing to ``size`` is
            accumulated.
        num_workers: Loading processes per device; 0 loads in the training process. The items do
            not depend on it.
        prefetch: Micro-batches that each worker has ready.
    """

    size: int = 16
    per_device: int = 16
    num_workers: int = 0
    prefetch: int = 2


@dataclass
class DevicesConfig:
    """Where training runs; see Lightning Fabric for the values.

    Attributes:
        accelerator: cpu, cuda, or auto.
        devices: Per machine: a number, or auto.
        num_nodes: Machines.
        precision: 32-true or bf16-mixed.
        deterministic: Ask torch for deterministic kernels. On a GPU exact repetition, and so an
            exact resume, needs it; on a CPU it changes nothing.
        channels_last: Keep the weights of convolutions, and with them all features, with the
            channels innermost. Faster where TinyViT trains in bf16 on a CPU (docs/training.md);
            sums are made in another order, so that a run does not repeat bit for bit one without.
    """

    accelerator: str = "auto"
    devices: str = "auto"
    num_nodes: int = 1
    precision: str = "32-true"
    deterministic: bool = False
    channels_last: bool = False


@dataclass
class EmaConfig:
    """Exponential moving average of the trained weights.

    Attributes:
        decay: Of the average, per step; 0: none. If there is one, it is what is validated and
            exported.
    """

    decay: float = 0.0


@dataclass
class CheckpointConfig:
    """When the state is written.

    Attributes:
        every_steps: 0: not by steps.
        every_minutes: 0: not by time.
        keep: Newest checkpoints that stay, beside the best.
        round_every: Steps after which moments and average are rounded to bfloat16, so that the
            state can be kept small (``trainer/state.py``); 0: never.
    """

    every_steps: int = 1000
    every_minutes: float = 15.0
    keep: int = 2
    round_every: int = 0


@dataclass
class ValidationConfig:
    """When the model is validated; on what, the data source's section says.

    Attributes:
        every_steps: 0: never.
        best_by: miou_full, miou_occ, or mean (of the two): which checkpoint is the best.
        pictures: Objects shown in TensorBoard.
    """

    every_steps: int = 1000
    best_by: str = "mean"
    pictures: int = 8


@dataclass
class LogConfig:
    """What is recorded of a run.

    Attributes:
        every_steps: Steps between two points in TensorBoard; the loss log has every step.
        tensorboard: Whether to write it.
    """

    every_steps: int = 10
    tensorboard: bool = True


@dataclass
class StopConfig:
    """What counts as divergence; NaN and infinity always do.

    Attributes:
        factor: Training stops when the loss exceeds this multiple of its running mean; 0: never.
        after_steps: Steps before the running mean is believed.
    """

    factor: float = 20.0
    after_steps: int = 100


@dataclass
class VideoConfig:
    """How clips are run (paper, 3.5).

    Attributes:
        prior_dilation: Radius by which the previous prediction is dilated into M_spec, over the
            square root of its area; as ``VideoOptions.prior_dilation``.
        use_memory: SAM 2's memory, where the base model has one; gradients flow through it.
    """

    prior_dilation: float = 0.1
    use_memory: bool = True


@dataclass
class TrainConfig:
    """One training run.

    Attributes:
        model: Of :class:`~amodal_ros.modeling.config.AmodalConfig`.
        base_weights: Checkpoint of the base model, or the folder of a MobileSAM's two ONNX files;
            ``random`` for tests and measurements.
        data: Of the data source.
        steps: Optimiser steps; with ``phases`` their sum, and so not given.
        phases: Of a run that changes as it goes: for each, ``samples``, how many items it takes,
            and what differs from the rest of the file (``trainer/phases.py``).
        seed: Of everything random.
        init_from: Adapters (``*.safetensors``) to start from in place of fresh ones.
        more_adapters: The model may have adapters at places where ``init_from`` has none; they
            start fresh, and so change nothing at first. Otherwise that is an error.
        init_without: Names of adapters that are not taken from ``init_from`` and start fresh.
        gradient_checkpointing: Recompute the adapted blocks in the backward pass.
    """

    model: dict[str, Any] = field(default_factory=dict)
    base_weights: str = MISSING
    data: Any = None
    steps: int = 0
    phases: list[Any] = field(default_factory=list)
    seed: int = 0
    init_from: str | None = None
    more_adapters: bool = False
    init_without: list[str] = field(default_factory=list)
    gradient_checkpointing: bool = False
    loss: LossConfig = field(default_factory=LossConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    devices: DevicesConfig = field(default_factory=DevicesConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    log: LogConfig = field(default_factory=LogConfig)
    stop: StopConfig = field(default_factory=StopConfig)
    video: VideoConfig = field(default_factory=VideoConfig)


def check_config(config: TrainConfig) -> None:
    """Check what types alone do not say.

    Raises:
        InvalidInputError: A value is out of range.
    """
    for name, value, choices in (
        ("optimiser.schedule", config.optimiser.schedule, ("linear", "cosine", "constant")),
        ("devices.precision", config.devices.precision, ("32-true", "bf16-mixed")),
        ("validation.best_by", config.validation.best_by, ("miou_full", "miou_occ", "mean")),
    ):
        if value not in choices:
            raise InvalidInputError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    if bool(config.phases) == (config.steps > 0):
        raise InvalidInputError(
            "expected either steps, at least 1, or phases, got "
            f"steps={config.steps} and {len(config.phases)} phases"
        )
    for name, number, least in (
        ("checkpoint.round_every", config.checkpoint.round_every, 0),
        ("batch.size", config.batch.size, 1),
        ("batch.per_device", config.batch.per_device, 1),
        ("batch.num_workers", config.batch.num_workers, 0),
        ("checkpoint.keep", config.checkpoint.keep, 1),
        ("log.every_steps", config.log.every_steps, 1),
        ("loss.segmentation", config.loss.segmentation, 0),
        ("loss.consistency", config.loss.consistency, 0),
        ("loss.adversarial", config.loss.adversarial, 0),
        ("loss.occlusion", config.loss.occlusion, 0),
        ("loss.visible", config.loss.visible, 0),
        ("loss.intrusion", config.loss.intrusion, 0),
    ):
        if number < least:
            raise InvalidInputError(f"{name} must be at least {least}, got {number}")
    if not 0.0 <= config.ema.decay < 1.0:
        raise InvalidInputError(f"ema.decay must be in [0, 1), got {config.ema.decay}")
