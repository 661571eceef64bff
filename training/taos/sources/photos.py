# SPDX-License-Identifier: Apache-2.0
"""Any folder of photos: the base model makes the masks, once, into a cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from amodal_ros.errors import InvalidInputError
from amodal_ros.files import write_text
from training.taos.config import TaosConfig
from training.taos.sources.base import PhotoSource, make_photo, rle_object
from training.taos.sources.segment_everything import (
    MIN_PREDICTED_IOU,
    MIN_STABILITY,
    SelfMask,
    segment_everything,
)
from training.taos.sources.yolo import IMAGE_SUFFIXES
from training.taos.types import Photo
from training.untrusted import CorruptRecordError, checked_hw, decode_rgb, read_bytes, working_hw

_SIDE = 1024
Segmenter = Callable[[np.ndarray], list[SelfMask]]


class SelfSegmentedSource(PhotoSource):
    """Photos without annotations, segmented by the model itself.

    The masks of a photo are kept in the cache in SA-1B's JSON, under a name that depends on
    the photo's bytes, the model's and the settings; so they are made once.
    """

    kind = "photos"

    def __init__(
        self,
        spec: str,
        root: Path,
        config: TaosConfig,
        cache: Path,
        segmenter: Segmenter | None = None,
    ) -> None:
        """Lists the photos; the model is loaded when the first masks are made.

        Args:
            spec: as given.
            root: folder of photos, or one photo.
            config: settings (grid, model folder).
            cache: folder for the masks.
            segmenter: ``rgb -> masks`` to use instead of the model.

        Raises:
            InvalidInputError: if there is no photo.
            ManifestError: if the model folder cannot be used.
        """
        self.spec = spec
        self._config = config
        self._cache = cache / "photos"
        self._segmenter = segmenter
        self._root = root if root.is_dir() else root.parent
        paths = sorted(root.rglob("*")) if root.is_dir() else [root]
        self._records = [
            path.relative_to(self._root).as_posix()
            for path in paths
            if path.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not self._records:
            raise InvalidInputError(f"source {spec}: no .jpg, .png or .webp in {root}")
        self._recipe = self._model_identity()

    def records(self, shard: int) -> Sequence[str]:
        """All photos."""
        return self._records

    def photo(self, key: str, long_side: int) -> Photo:
        """Reads one photo and its masks, making them if need be (see `PhotoSource.photo`)."""
        path = self._root / key
        data = read_bytes(path, key)
        native_hw = checked_hw(data, path, key)
        mask_hw = working_hw(native_hw, _SIDE)
        entries = self._masks(data, mask_hw, path, key)
        objects = [
            rle_object(str(entry["id"]), "", entry["segmentation"], mask_hw, (path, key))
            for entry in entries
        ]
        return make_photo(
            record=key,
            native_hw=mask_hw,
            long_side=min(long_side, _SIDE),
            objects=objects,
            read_data=lambda: data,
            place=(path, key),
            background_annotated=True,
            origin={"source": self.spec, "kind": self.kind, "record": key},
        )

    def _masks(
        self, data: bytes, hw: tuple[int, int], path: Path, key: str
    ) -> list[dict[str, Any]]:
        name = hashlib.sha256(self._recipe + hashlib.sha256(data).digest()).hexdigest()[:32]
        kept = self._cache / f"{name}.json"
        if not kept.exists():
            rgb = decode_rgb(data, hw, path, key)
            if self._segmenter is None:
                self._segmenter = _ModelSegmenter(self._model_dir(), self._config.photos_grid)
            content = sa1b_content(self._segmenter(rgb), key)
            self._cache.mkdir(parents=True, exist_ok=True)
            write_text(kept, json.dumps(content))
        try:
            annotations = json.loads(kept.read_text(encoding="utf-8"))["annotations"]
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptRecordError(kept, key, f"expected masks of a photo: {error!r}") from error
        return list(annotations)

    def _model_dir(self) -> Path:
        from amodal_ros.model_folder.manifest import default_model_dir

        return Path(self._config.model_dir) if self._config.model_dir else default_model_dir()

    def _model_identity(self) -> bytes:
        """What the masks depend on besides the photo."""
        identity: list[object] = [3, self._config.photos_grid, MIN_PREDICTED_IOU, MIN_STABILITY]
        if self._segmenter is None:
            from amodal_ros.model_folder.manifest import load_manifest

            manifest = load_manifest(self._model_dir())
            identity += [manifest.graphs[name].file.sha256 for name in sorted(manifest.graphs)]
        return repr(identity).encode("utf-8")


class _ModelSegmenter:
    """The embedded model on one thread: the same masks in every worker."""

    def __init__(self, model_dir: Path, grid: int) -> None:
        from amodal_ros.loading import EngineOptions, load_predictor

        self._predictor = load_predictor(model_dir, EngineOptions("onnxruntime", threads=1))
        self._grid = grid

    def __call__(self, rgb: np.ndarray) -> list[SelfMask]:
        return segment_everything(self._predictor, rgb, self._grid)


def sa1b_content(masks: list[SelfMask], name: str) -> dict[str, Any]:
    """The JSON of one photo, with SA-1B's keys."""
    annotations = []
    for number, item in enumerate(masks):
        rle = coco_mask.encode(np.asfortranarray(item.mask.astype(np.uint8)))
        height, width = item.mask.shape
        annotations.append(
            {
                "id": number,
                "segmentation": {"size": [height, width], "counts": rle["counts"].decode("ascii")},
                "bbox": [float(v) for v in coco_mask.toBbox(rle)],
                "area": int(coco_mask.area(rle)),
                "predicted_iou": round(item.predicted_iou, 5),
                "stability_score": round(item.stability, 5),
                "crop_box": [0.0, 0.0, float(width), float(height)],
                "point_coords": [list(item.point_xy)],
            }
        )
    return {"image": {"file_name": name}, "annotations": annotations}
