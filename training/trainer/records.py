# SPDX-License-Identifier: Apache-2.0
"""What a run tells while it goes on: a progress bar or log lines, and TensorBoard."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from training.losses.segmentation import upsample_logits
from training.trainer.forward import FramePrediction
from training.trainer.run_folder import RunFolder
from training.trainer.validation import Validation

if TYPE_CHECKING:
    from rich.progress import Progress
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

_LINE_SECONDS = 30.0  # between two log lines where there is no terminal


class Records:
    """Shows and records a run; only the main process has one."""

    def __init__(
        self, folder: RunFolder, *, steps: int, first_step: int, tensorboard: bool
    ) -> None:
        self._steps = steps
        self._first_step = first_step
        self._started = time.monotonic()
        self._last_line = self._started
        self._writer: SummaryWriter | None = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder.tensorboard), purge_step=first_step + 1)
        self._bar, self._task = _progress_bar(steps, first_step)

    def __enter__(self) -> Records:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def step(self, step: int, values: Mapping[str, float], *, to_tensorboard: bool) -> None:
        """Show a step."""
        text = f"loss {values['loss']:.4f} iou {values['iou_full']:.3f}/{values['iou_occ']:.3f}"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=text)
        elif time.monotonic() - self._last_line > _LINE_SECONDS or step == self._steps:
            self._last_line = time.monotonic()
            logger.info("step %d/%d %s, %s left", step, self._steps, text, self._remaining(step))
        if self._writer is not None and to_tensorboard:
            for name, value in values.items():
                if name != "step":
                    self._writer.add_scalar(f"train/{name}", value, step)

    def validation(self, step: int, validation: Validation, rows: int) -> None:
        """Show a validation and its pictures."""
        values = {k: v for k, v in validation.values.items() if v is not None}
        logger.info("step %d validation %s", step, _rounded(values))
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(f"validation/{name}", value, step)
        if validation.shown and rows:
            picture = picture_rows(validation.shown, rows)
            self._writer.add_image("image, M_spec, visible, prediction, truth", picture, step)
        self._writer.flush()

    def _remaining(self, step: int) -> str:
        done = step - self._first_step
        seconds = (time.monotonic() - self._started) / max(1, done) * (self._steps - step)
        return duration(seconds)


def duration(seconds: float) -> str:
    """Write a number of seconds as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _progress_bar(steps: int, first_step: int) -> tuple[Progress | None, Any]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        return None, None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    return bar, bar.add_task("training", total=steps, completed=first_step)


def _rounded(values: Mapping[str, float | int]) -> dict[str, float | int]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}


_SIDE = 192
_GREY = 0.5


def picture_rows(frames: Sequence[FramePrediction], rows: int) -> torch.Tensor:
    """Draw the first objects, one per row.

    Returns:
        ``(3, rows x 192, 5 x 192)`` float32 in [0, 1], RGB.
    """
    drawn: list[torch.Tensor] = []
    for frame in frames:
        batch = frame.batch
        predicted = upsample_logits(frame.low_res_logits, batch.amodal.shape[-1]).gt(0.0).float()
        for row in range(min(len(batch), rows - len(drawn))):
            masks = (batch.prior_masks, batch.visible, predicted, batch.amodal)
            panels = [_image(frame, row)] + [_enlarged(m[row]).expand(3, -1, -1) for m in masks]
            drawn.append(torch.cat(panels, dim=2))
    return torch.cat(drawn, dim=1) if drawn else torch.full((3, 1, 1), _GREY)


def _image(frame: FramePrediction, row: int) -> torch.Tensor:
    """The input of an object ``(3, 192, 192)``; where there are features alone, the original."""
    batch = frame.batch
    pixels = batch.originals if batch.images is None else batch.images
    if pixels is None:
        return torch.full((3, _SIDE, _SIDE), _GREY)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    image = pixels[int(batch.image_index[row])].float() * std + mean
    return (_enlarged(image) / 255.0).clamp(0.0, 1.0)


def _enlarged(image: torch.Tensor) -> torch.Tensor:
    size = (_SIDE, _SIDE)
    return F.interpolate(image[None].float(), size=size, mode="bilinear", align_corners=False)[0]
