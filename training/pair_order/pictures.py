# SPDX-License-Identifier: Apache-2.0
"""Pairs of objects of rendered pictures: what the model's masks say, and which one lies in front.

Of two objects the one is in front of which more is seen where their true amodal masks overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from amodal_ros.annotations.amodal_coco import load_annotations
from amodal_ros.errors import InvalidInputError
from amodal_ros.files import write_text
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.rle import decode_rle
from amodal_ros.occlusion.junctions import Junctions
from amodal_ros.occlusion.pair_weights import WITNESSES
from amodal_ros.occlusion.shapes import Shape
from amodal_ros.occlusion.witnesses import Overlap, Witnesses
from training.untrusted import CorruptRecordError

LEAST_OVERLAP_PX = 20
_LEAST_SEEN_PX, _LEAST_SEEN = 8, 0.1  # of an overlap: of less it is not known who lies in front

Masks = Sequence[CroppedMask]


class Predict(Protocol):
    """Asks a model for the masks of objects."""

    def __call__(self, image: np.ndarray, boxes: Sequence[Any]) -> tuple[Masks, Masks]:
        """Visible and amodal masks of the objects in boxes of an image (H, W, 3) uint8 RGB."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with true masks.

    Attributes:
        scene: its name; pictures of one scene show the same objects.
        view: its number among those of the scene.
        path: of the image.
        records: annotations of its objects.
    """

    scene: str
    view: int
    path: Path
    records: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TruePair:
    """Two objects, by index, whose true amodal masks overlap, and who lies in front."""

    first: int
    second: int
    first_in_front: bool


def pictures_of(scenes: Path, views: int | None = None) -> list[Picture]:
    """Pictures of a folder of `training.scenes`, in order.

    Args:
        scenes: the folder.
        views: so many pictures of each scene; None: all.

    Raises:
        InvalidInputError: there is none.
    """
    found = []
    for file in sorted(scenes.glob("chunk_*/annotations.json")):
        content = load_annotations(file)
        records: dict[int, list[Any]] = {image["id"]: [] for image in content["images"]}
        for record in content["annotations"]:
            records[record["image_id"]].append(record)
        for image in content["images"]:
            path = file.parent / "images" / image["file_name"]
            scene, _, view = path.stem.rpartition("_")
            if views is None or int(view) < views:
                name = f"{scenes.name}_{scene}"
                found.append(Picture(name, int(view), path, records[image["id"]]))
    if not found:
        raise InvalidInputError(f"{scenes}: expected pictures of training.scenes")
    return found


def true_pairs(visible: Masks, amodal: Masks) -> Iterator[TruePair]:
    """The pairs of which it is known who lies in front.

    Args:
        visible: N true masks.
        amodal: likewise.
    """
    for first, second in combinations(range(len(amodal)), 2):
        overlap = amodal[first] & amodal[second]
        if overlap.area < LEAST_OVERLAP_PX:
            continue
        own, others = (overlap.shared(visible[index]) for index in (first, second))
        if own != others and own + others >= max(_LEAST_SEEN_PX, _LEAST_SEEN * overlap.area):
            yield TruePair(first, second, own > others)


def rows_of(picture: Picture, predict: Predict) -> list[list[float]]:
    """The witnesses of each pair of a picture, and last 1 or 0: the first lies in front, or not.

    The model is given the true visible boxes of the objects that overlap another.

    Raises:
        CorruptRecordError: the image cannot be read.
    """
    visible, amodal = (
        [CroppedMask.of(decode_rle(record[key])) for record in picture.records]
        for key in ("visible_mask", "segmentation")
    )
    pairs = list(true_pairs(visible, amodal))
    if not pairs:
        return []
    image = cv2.imread(str(picture.path))
    if image is None:
        raise CorruptRecordError(picture.path, "image", "expected a picture")
    asked = sorted({index for pair in pairs for index in (pair.first, pair.second)})
    boxes = [visible[index].box_xyxy for index in asked]
    found = predict(np.ascontiguousarray(image[..., ::-1]), boxes)
    shapes = dict(zip(asked, map(Shape.of, *found), strict=True))
    place = {index: k for k, index in enumerate(asked)}
    junctions = Junctions(list(shapes.values()))
    rows = []
    for pair in pairs:
        both = shapes[pair.first], shapes[pair.second]
        if not (both[0].area and both[1].area):
            continue
        indices = place[pair.first], place[pair.second]
        said = Witnesses.of(both, indices, Overlap.of(*both), junctions, upright=True)
        rows.append([*said, float(pair.first_in_front)])
    return rows


def cached_rows(picture: Picture, predict: Predict, cache: Path) -> list[list[float]]:
    """`rows_of`, kept in a folder: a run that was stopped goes on where it ended.

    Raises:
        InvalidInputError: what is kept there has other witnesses.
        CorruptRecordError: the image cannot be read.
    """
    file = cache / f"{picture.scene}_{picture.view}.json"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["witnesses"] != list(WITNESSES):
            raise InvalidInputError(
                f"{file}: expected the witnesses {', '.join(WITNESSES)}; remove the folder"
            )
        return list(kept["rows"])
    rows = rows_of(picture, predict)
    write_text(file, json.dumps({"witnesses": WITNESSES, "rows": rows}) + "\n")
    return rows
