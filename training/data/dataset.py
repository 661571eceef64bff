# SPDX-License-Identifier: Apache-2.0
"""Item i of the training data, a pure function of the seed and i; and batches of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch.utils.data import Dataset, Subset

from amodal_ros.errors import InvalidInputError
from amodal_ros.image.geometry import ResizeGeometry
from amodal_ros.modeling.config import SAM2_MEMBERS, AmodalConfig
from training.batch import TrainBatch, TrainClip
from training.data.config import DataConfig, check_data_config
from training.data.framing import (
    FramedObject,
    Prompted,
    frame_object,
    image_to_input,
    photometric,
    prompt_object,
    roi_geometry,
)
from training.data.objects import ObjectSource, Picture
from training.data.photo_objects import open_objects

_ATTEMPTS = 50


@dataclass(frozen=True, eq=False)
class TrainImage:
    """One input image with its objects.

    Attributes:
        image: (3, S, S) float32, normalised; None where `features` stand for it.
        original: (3, S / 4, S / 4) float32, normalised: the unoccluded picture. Where it is not
            known, as in a rendered scene, the image itself stands in.
        objects: at least one.
        features: of the frozen prefix, without the batch axis.
    """

    image: NDArray[np.float32] | None
    original: NDArray[np.float32]
    objects: tuple[FramedObject, ...]
    features: tuple[NDArray[np.float32], ...] | None = None


Item = tuple[TrainImage, ...]
"""One image, or the frames of a clip."""


class TrainDataset(Dataset[Item]):
    """Map-style and endless: any i >= 0 is an item."""

    def __init__(self, config: DataConfig, model: AmodalConfig, seed: int) -> None:
        """Open the sources.

        Raises:
            InvalidInputError: settings or sources that cannot be used.
            DatasetError: a source's files are missing or broken.
        """
        check_data_config(config)
        self._config = config
        self._size = model.image_size
        self._stretch = model.base in SAM2_MEMBERS
        self._seed = seed
        self._sources: list[ObjectSource] = [
            open_objects(source, config, seed) for source in config.sources
        ]
        weights = np.array([source.weight for source in config.sources], dtype=np.float64)
        if (weights < 0).any() or weights.sum() <= 0:
            raise InvalidInputError(f"data.sources: weights must be >= 0, got {weights.tolist()}")
        self._weights = weights / weights.sum()

    def __getitem__(self, index: int) -> Item:
        """Draw item `index`.

        Raises:
            InvalidInputError: the source that was drawn yields nothing that can be used.
        """
        which = 0
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng([self._seed, index, attempt])
            which = int(rng.choice(len(self._sources), p=self._weights))
            pictures = self._sources[which].draw(index, rng)
            if pictures is not None:
                return self._frames(pictures, rng)
        raise InvalidInputError(
            f"item {index}: nothing usable in {_ATTEMPTS} draws; the last was from "
            f"{self._config.sources[which]}"
        )

    def _frames(self, pictures: Sequence[Picture], rng: np.random.Generator) -> Item:
        config = self._config
        mirrored = rng.random() < config.flip
        changed = rng.random() < config.photometric
        look = int(rng.integers(2**31))
        with_points = config.prompt == "points" or (
            config.prompt == "mixed" and rng.random() < 0.5
        )
        frames = []
        for picture in pictures:
            if mirrored:
                picture = _mirror(picture)
            image, original = picture.image, picture.original
            if changed:  # the frames of a clip look alike
                image, original = photometric(image, original, np.random.default_rng(look))
            objects = [prompt_object(o, config, rng, with_points) for o in picture.objects]
            frames.append(self._frame(image, original, objects, rng))
        return tuple(frames)

    def _frame(
        self,
        image: NDArray[np.uint8],
        original: NDArray[np.uint8] | None,
        objects: Sequence[Prompted],
        rng: np.random.Generator,
    ) -> TrainImage:
        hw = (image.shape[0], image.shape[1])
        if self._config.framing == "roi":
            geometry = roi_geometry(objects[0].box_xyxy, hw, self._config, self._size, rng)
        elif self._stretch:
            geometry = ResizeGeometry.stretch(hw, self._size)
        else:
            geometry = ResizeGeometry.letterbox(hw, self._size)
        framed = image_to_input(image, geometry)
        whole = framed if original is None else image_to_input(original, geometry)
        return TrainImage(
            framed,
            _quarter(whole),
            tuple(frame_object(o, geometry, self._config.prompt_expand) for o in objects),
        )


def build_dataset(section: Any, model: AmodalConfig, seed: int) -> Dataset[Any]:
    """Build the dataset of a configuration's section ``data``, or of its ``validation``.

    Args:
        section: a `DataConfig`, or what OmegaConf made of one.
        model: decides the input size and geometry.
        seed: of everything drawn.

    Raises:
        InvalidInputError: settings or sources that cannot be used.
        DatasetError: a source's files are missing or broken.
    """
    return TrainDataset(data_config(section), model, seed)


def build_validation(section: Any, model: AmodalConfig) -> Dataset[Any] | None:
    """Build the fixed set of ``data.validation``: exact boxes, clean M_spec, nothing changed.

    Returns:
        A map-style dataset with a length; None where no source is given.

    Raises:
        InvalidInputError, DatasetError: see :func:`build_dataset`.
    """
    config = data_config(section)
    wanted = config.validation
    if not wanted.sources:
        return None
    clean = replace(
        config,
        sources=wanted.sources,
        roi_factor=[wanted.roi_factor, wanted.roi_factor],
        roi_shift=0.0,
        prior=replace(config.prior, kind="none" if config.prior.kind == "none" else "clean"),
        prompt="points" if config.prompt == "points" else "box",
        occluded_share=wanted.occluded_share,
        objects_per_image=1,
        flip=0.0,
        photometric=0.0,
        feature_cache="",
        cache_items=0,
    )
    return Subset(TrainDataset(clean, model, wanted.seed), range(wanted.count))


def data_config(section: Any) -> DataConfig:
    """Check a section against the schema and make it a plain object."""
    merged = OmegaConf.merge(OmegaConf.structured(DataConfig), section)
    config = OmegaConf.to_object(merged)
    if not isinstance(config, DataConfig):
        raise InvalidInputError(f"data: expected a section, got {type(section).__name__}")
    return config


def collate(items: Sequence[Item]) -> TrainBatch | TrainClip:
    """Join items into a batch; items of several frames into a clip."""
    lengths = {len(item) for item in items}
    if len(lengths) != 1:
        raise InvalidInputError(f"items of one batch must have one length, got {sorted(lengths)}")
    frames = tuple(_join([item[t] for item in items]) for t in range(lengths.pop()))
    return frames[0] if len(frames) == 1 else TrainClip(frames)


def _join(images: Sequence[TrainImage]) -> TrainBatch:
    objects = [o for image in images for o in image.objects]
    owners = [k for k, image in enumerate(images) for _ in image.objects]
    boxes, points, labels = _prompts(objects)
    return TrainBatch(
        images=_images(images),
        features=_features(images),
        originals=torch.from_numpy(np.stack([image.original for image in images])),
        image_index=torch.tensor(owners, dtype=torch.int64),
        prior_masks=_masks([o.prior for o in objects]),
        boxes_xyxy=boxes,
        points=points,
        point_labels=labels,
        amodal=_masks([o.amodal for o in objects]),
        visible=_masks([o.visible for o in objects]),
        valid=_masks([o.valid for o in objects]),
        keys=tuple(o.key for o in objects),
        others=_masks([o.others for o in objects]),
        whole_known=torch.tensor([float(o.whole_known) for o in objects]),
    )


def _images(images: Sequence[TrainImage]) -> torch.Tensor | None:
    pixels = [image.image for image in images if image.image is not None]
    return torch.from_numpy(np.stack(pixels)) if pixels else None


def _features(images: Sequence[TrainImage]) -> tuple[torch.Tensor, ...] | None:
    features = [image.features for image in images if image.features is not None]
    if not features:
        return None
    return tuple(torch.from_numpy(np.stack(parts)) for parts in zip(*features, strict=True))


def _prompts(
    objects: Sequence[FramedObject],
) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
    """Boxes, points, labels. In a mixed batch a box is given as SAM does: as two labelled points.

    SAM's prompt encoder knows a box as points labelled 2 and 3 (its corners), so that objects with
    points and objects with boxes fit in one tensor.
    """
    if all(o.points is None for o in objects):
        return torch.from_numpy(np.stack([o.box_xyxy for o in objects])), None, None
    coords = [o.box_xyxy.reshape(2, 2) if o.points is None else o.points for o in objects]
    labels = [[2.0, 3.0] if o.points is None else [1.0, 1.0] for o in objects]
    return None, torch.from_numpy(np.stack(coords)), torch.tensor(labels)


def _masks(masks: Sequence[NDArray[np.bool_]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(masks)[:, None].astype(np.float32))


def _quarter(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3, S / 4, S / 4), averaged."""
    side = image.shape[1] // 4
    small = cv2.resize(image.transpose(1, 2, 0), (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(2, 0, 1))


def _mirror(picture: Picture) -> Picture:
    def flip(array: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(array[:, ::-1])

    return Picture(
        flip(picture.image),
        None if picture.original is None else flip(picture.original),
        tuple(
            replace(
                o,
                amodal=flip(o.amodal),
                visible=flip(o.visible),
                valid=None if o.valid is None else flip(o.valid),
                others=None if o.others is None else flip(o.others),
            )
            for o in picture.objects
        ),
    )
