# SPDX-License-Identifier: Apache-2.0
"""What is fixed is computed once: items, with the features of the frozen prefix, kept on disk.

On a machine without a GPU the part of the encoder before the first adapter, and making the
pictures, cost as much as the training itself. Both are the same in every epoch and in every run
that differs after the first adapter alone, such as the ablations.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import whole_folder
from amodal_ros.modeling.amodal_model import AmodalModel
from training.data.dataset import Item, TrainImage, collate, data_config
from training.data.framing import FramedObject

logger = logging.getLogger(__name__)

_CHUNK = 64
_MASKS = ("prior", "amodal", "visible", "valid", "others")


class CachedFeatures(Dataset[Item]):
    """The first `count` items of a dataset, over and over, with features in place of images."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        self._chunks: dict[int, dict[str, NDArray[Any]]] = {}

    def __getitem__(self, index: int) -> Item:
        """Read item ``index % count``."""
        place = index % self._count
        arrays, row = self._chunk(place // _CHUNK), place % _CHUNK
        size = int(arrays["size"])
        masks = {
            name: np.unpackbits(arrays[name][row], count=size * size).reshape(size, size) > 0
            for name in _MASKS
        }
        points = arrays["points"][row] if "points" in arrays else None
        item = FramedObject(
            **masks,
            box_xyxy=arrays["boxes"][row],
            points=points,
            key=f"cached item {place}",
            whole_known=bool(arrays["whole_known"][row]),
        )
        features = tuple(
            arrays[name][row].astype(np.float32)
            for name in sorted(name for name in arrays if name.startswith("features_"))
        )
        original = arrays["originals"][row].astype(np.float32)
        return (TrainImage(None, original, (item,), features),)

    def _chunk(self, number: int) -> dict[str, NDArray[Any]]:
        """A chunk's arrays, mapped and not read."""
        if number not in self._chunks:
            folder = self._folder / f"{number:05d}"
            self._chunks[number] = {
                file.stem: np.load(file, mmap_mode="r") for file in sorted(folder.glob("*.npy"))
            }
        return self._chunks[number]

    def __getstate__(self) -> dict[str, object]:
        """Open files stay behind."""
        return {**self.__dict__, "_chunks": {}}


def with_cached_features(
    dataset: Dataset[Any], section: Any, model: AmodalModel, identity: str, seed: int
) -> Dataset[Any]:
    """Replace a dataset by its cached beginning, if ``data.feature_cache`` asks for it.

    What is not in the cache yet is computed now; a cache that is interrupted goes on later. The
    folder's name is a hash of all that decides its content.

    Args:
        dataset: of the section.
        section: the configuration's ``data``.
        model: its prefix is run, and must be frozen.
        identity: of the base weights, any text that is unique to them.
        seed: of the dataset.

    Raises:
        InvalidInputError: items are of several objects, or the prefix is trained.
    """
    config = data_config(section)
    if not config.feature_cache:
        return dataset
    if "image_encoder" in model.config.unfrozen:
        raise InvalidInputError("data.feature_cache: the image encoder is unfrozen")
    if config.objects_per_image != 1:
        raise InvalidInputError("data.feature_cache: expected objects_per_image 1")
    recipe = dataclasses.asdict(config)
    for free in ("feature_cache", "validation"):
        del recipe[free]
    recipe |= {
        "seed": seed,
        "identity": identity,
        "base": model.config.base,
        "size": model.config.image_size,
        "place": model.config.place,
        "first_position": model.config.positions[:1],
        "features": [list(f.shape) for f in _prefix_shapes(model)],
    }
    text = json.dumps(recipe, sort_keys=True)
    name = hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
    folder = Path(config.feature_cache) / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(text + "\n", encoding="utf-8")
    for start in range(0, config.cache_items, _CHUNK):
        chunk = folder / f"{start // _CHUNK:05d}"
        if not chunk.exists():
            stop = min(start + _CHUNK, config.cache_items)
            _write_chunk(chunk, [dataset[i] for i in range(start, stop)], model)
            logger.info("cached features of %d of %d items", stop, config.cache_items)
    return CachedFeatures(folder, config.cache_items)


@torch.no_grad()
def _prefix_shapes(model: AmodalModel) -> Sequence[torch.Tensor]:
    size, device = model.config.image_size, next(model.parameters()).device
    return model.prefix(torch.zeros(1, 3, size, size, device=device))


@torch.no_grad()
def _write_chunk(chunk: Path, items: Sequence[Item], model: AmodalModel) -> None:
    """Compute and write a chunk; it appears whole."""
    batch: Any = collate(items)
    device = next(model.parameters()).device
    features = [model.prefix(part.to(device)) for part in batch.images.split(8)]
    objects = [item[0].objects[0] for item in items]
    arrays: dict[str, NDArray[Any]] = {
        "size": np.array(model.config.image_size),
        "boxes": np.stack([o.box_xyxy for o in objects]),
        "whole_known": np.array([o.whole_known for o in objects]),
        "originals": np.stack([item[0].original for item in items]).astype(np.float16),
    }
    for number, parts in enumerate(zip(*features, strict=True)):
        whole = torch.cat(parts).float().cpu().numpy()
        arrays[f"features_{number}"] = whole.astype(np.float16)
    for name in _MASKS:
        flat = np.stack([getattr(o, name).ravel() for o in objects])
        arrays[name] = np.packbits(flat, axis=1)
    if all(o.points is not None for o in objects):
        arrays["points"] = np.stack([o.points for o in objects if o.points is not None])
    elif any(o.points is not None for o in objects):
        raise InvalidInputError("data.feature_cache: expected prompt box or points, got mixed")
    with whole_folder(chunk) as unfinished:
        for name, array in arrays.items():
            np.save(unfinished / f"{name}.npy", array)
