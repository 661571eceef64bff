# SPDX-License-Identifier: Apache-2.0
"""A small data source: a bright ellipse, half of it behind a bar. Run as a script, it trains."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.nn import functional as F
from torch.utils.data import Dataset

from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.config import AmodalConfig
from training.batch import TrainBatch, TrainClip
from training.train import main
from training.trainer.loading import DataSource

_VALIDATION_SEED = 12345


@dataclass
class SyntheticConfig:
    objects: int = 1
    frames: int = 1
    broken_item: int = -1
    slow_s: float = 0.0
    has_original: bool = True
    unoccluded: bool = False
    validation: int = 0


class SyntheticDataset(Dataset):
    def __init__(self, config: SyntheticConfig, size: int, seed: int, length: int | None = None):
        self.config, self.size, self.seed, self.length = config, size, seed, length

    def __len__(self) -> int:
        return 10**9 if self.length is None else self.length

    def __getitem__(self, index: int) -> tuple[TrainBatch, ...]:
        time.sleep(self.config.slow_s)
        rng = np.random.default_rng([self.seed, index])
        frames = []
        count = self.config.objects
        shapes = [rng.uniform([0.4, 0.4, 0.15, 0.15], [0.6, 0.6, 0.3, 0.3]) for _ in range(count)]
        for t in range(self.config.frames):
            frames.append(self._frame(index, [s + np.array([0.02 * t, 0, 0, 0]) for s in shapes]))
        return tuple(frames)

    def _frame(self, index: int, shapes: list[np.ndarray]) -> TrainBatch:
        side = self.size
        y, x = (np.mgrid[:side, :side] + 0.5) / side
        masks = [(((x - a) / c) ** 2 + ((y - b) / d) ** 2) < 1 for a, b, c, d in shapes]
        hidden = np.zeros_like(masks[0]) if self.config.unoccluded else (x > shapes[0][0])
        amodal = torch.from_numpy(np.stack(masks)[:, None].astype(np.float32))
        visible = amodal * torch.from_numpy((~hidden).astype(np.float32))
        whole = amodal.amax((0, 1)).expand(1, 3, side, side).clone()
        seen = visible.amax((0, 1)).expand(1, 3, side, side).clone()
        boxes = [
            [(a - c) * side, (b - d) * side, a * side, (b + d) * side] for a, b, c, d in shapes
        ]
        if index == self.config.broken_item:
            seen[:] = float("nan")
        prior = F.max_pool2d(visible, 9, 1, 4)
        return TrainBatch(
            images=seen,
            features=None,
            originals=F.avg_pool2d(whole, 4) if self.config.has_original else None,
            image_index=torch.zeros(len(shapes), dtype=torch.int64),
            prior_masks=prior,
            boxes_xyxy=torch.tensor(np.array(boxes), dtype=torch.float32),
            points=None,
            point_labels=None,
            amodal=amodal,
            visible=visible,
            valid=torch.ones_like(amodal),
            keys=tuple(f"item {index} object {k}" for k in range(len(shapes))),
        )


def collate(items: Sequence[tuple[TrainBatch, ...]]) -> TrainBatch | TrainClip:
    frames = tuple(_joined([item[t] for item in items]) for t in range(len(items[0])))
    return frames[0] if len(frames) == 1 else TrainClip(frames)


def _joined(parts: Sequence[TrainBatch]) -> TrainBatch:
    def cat(name: str) -> Any:
        values = [getattr(p, name) for p in parts]
        return None if values[0] is None else torch.cat(values)

    names = ("images", "originals", "prior_masks", "boxes_xyxy", "amodal", "visible", "valid")
    owners = [torch.full((len(p),), k) for k, p in enumerate(parts)]
    return TrainBatch(
        features=None,
        points=None,
        point_labels=None,
        image_index=torch.cat(owners),
        keys=tuple(k for p in parts for k in p.keys),
        **{name: cat(name) for name in names},
    )


def _build(section: SyntheticConfig, model: AmodalModel, base: str, seed: int) -> SyntheticDataset:
    return SyntheticDataset(section, model.config.image_size, seed)


def _build_validation(section: SyntheticConfig, model: AmodalConfig) -> SyntheticDataset | None:
    if not section.validation:
        return None
    return SyntheticDataset(section, model.image_size, _VALIDATION_SEED, section.validation)


SOURCE = DataSource(SyntheticConfig, _build, _build_validation, collate)


def write_config(path: Path, **changes: Any) -> Path:
    """Write the configuration of a run of seconds; ``changes`` replace whole sections."""
    values: dict[str, Any] = {
        "model": {"base": "mobile_sam", "image_size": 64, "hidden_dim": 8},
        "base_weights": "random",
        "steps": 6,
        "seed": 3,
        "data": {},
        "batch": {"size": 4, "per_device": 2},
        "discriminator": {"width": 4, "warm_up_steps": 2},
        "devices": {"accelerator": "cpu", "devices": "1"},
        "optimiser": {"lr": 1e-3, "final_lr": 5e-4},
        "validation": {"every_steps": 3, "pictures": 2},
        "checkpoint": {"every_steps": 2, "every_minutes": 0},
        "log": {"tensorboard": False},
    }
    values.update(changes)
    path.write_text(yaml.safe_dump(values))
    return path


def train(config: Path, run: Path, *more: str) -> int:
    """Train in this process; the command's status."""
    return main(["--config", str(config), "--run", str(run), *more], SOURCE)


def trained(folder: Path, **changes: Any) -> Path:
    """The folder of a whole run; ``changes`` as of `write_config`."""
    config = write_config(folder / "c.yaml", **changes)
    torch.set_num_threads(1)
    assert train(config, folder / "run") == 0
    return folder / "run"


def log_lines(run: Path, name: str = "losses.jsonl") -> list[dict]:
    """Lines of a log."""
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(source=SOURCE))
