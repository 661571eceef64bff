# SPDX-License-Identifier: Apache-2.0
"""Who answers the trackers' questions: a model, or the truth with errors of a model's kind."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from amodal_ros.backends.base import Backend
from amodal_ros.image.boxes import box_iou
from amodal_ros.image.cropped import CroppedMask
from amodal_ros.image.masks import mask_boxes
from amodal_ros.model_folder.manifest import MANIFEST_NAME, load_manifest
from amodal_ros.types import AmodalPrediction
from benchmarks.tracking.clips import ClipFrame, TrueObject

if TYPE_CHECKING:
    from amodal_ros.inference.predictor import AmodalPredictor

Prior = NDArray[np.bool_] | CroppedMask

TRUTH_LIKE = "the truth with small errors (no network)"


class Ask(Protocol):
    """Segments N objects of a frame, given by boxes (N, 4) and M_spec, None: the box."""

    def __call__(
        self,
        boxes_xyxy: NDArray[np.float32],
        priors: Sequence[Prior | None],
        tight: NDArray[np.bool_] | None = None,
    ) -> AmodalPrediction:
        """With (N,) `tight` as in `AmodalPredictor.predict`."""


class RememberingBackend:
    """An engine that computes nothing twice within a frame.

    The variants ask much the same: the crop's features, the unadapted pass and its decoding depend
    on the box alone. Equal inputs, by digest, give the remembered outputs, so nothing changes but
    the time.
    """

    def __init__(self, engine: Backend) -> None:
        self._engine = engine
        self._known: dict[tuple[str, bytes], dict[str, NDArray[Any]]] = {}

    @property
    def name(self) -> str:
        """The engine's."""
        return self._engine.name

    def forget(self) -> None:
        """Begins a new frame."""
        self._known.clear()

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one graph, or remember its outputs."""
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(inputs):
            digest.update(f"{name} {inputs[name].shape}".encode())
            digest.update(np.ascontiguousarray(inputs[name]).data)
        key = graph, digest.digest()
        if key not in self._known:
            self._known[key] = self._engine.run(graph, inputs)
        return self._known[key]

    def interrupt(self) -> None:
        """Stop what is running."""
        self._engine.interrupt()

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()


def asking(predictor: AmodalPredictor, frame: ClipFrame) -> Ask:
    """Asks a predictor as the node does; it sees the frame when it is first asked."""
    features = cache(lambda: predictor.encode(frame.image_rgb))

    def ask(
        boxes_xyxy: NDArray[np.float32],
        priors: Sequence[Prior | None],
        tight: NDArray[np.bool_] | None = None,
    ) -> AmodalPrediction:
        return predictor.predict(features(), boxes_xyxy, priors, tight=tight)

    return ask


class ModelSegmenter:
    """A model folder, one object at a time: what two variants ask alike is computed once."""

    def __init__(self, folder: Path, threads: int) -> None:
        from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
        from amodal_ros.inference.predictor import AmodalPredictor

        manifest = load_manifest(folder)
        self._backend = RememberingBackend(OnnxRuntimeBackend(manifest, intra_op_threads=threads))
        # Batches of one object, so that what two variants ask alike has the same inputs.
        self._predictor = AmodalPredictor(
            manifest, self._backend, max_batch=1, ask_twice=True, fine_edges=True
        )

    def at(self, frame: ClipFrame) -> Ask:
        """What answers for a frame; those before it are forgotten."""
        self._backend.forget()
        return asking(self._predictor, frame)


class TruthLikeSegmenter:
    """The truth with errors: it shows what a tracker does whose network is right where it can be.

    A box is answered like the unadapted model does: with the object whose visible part fills it
    best, so that the box of a hidden object gives its occluder. The amodal mask is that object's,
    grown or shrunk and shifted by a few per cent of its size, drawn by frame and object.

    Args:
        error: standard deviation of growth and shift, relative to the square root of the area.
        seed: of the errors.
    """

    def __init__(self, error: float = 0.03, seed: int = 0) -> None:
        self._error = error
        self._seed = seed

    def at(self, frame: ClipFrame) -> Ask:
        """What answers for a frame."""
        return partial(self._segment, frame)

    def _segment(
        self,
        frame: ClipFrame,
        boxes_xyxy: NDArray[np.float32],
        priors: Sequence[Prior | None],
        tight: NDArray[np.bool_] | None = None,
    ) -> AmodalPrediction:
        if not len(boxes_xyxy):
            return AmodalPrediction.empty(frame.hw)
        samples = frame.objects
        visible_boxes = mask_boxes(np.stack([sample.visible_mask for sample in samples]))
        best = box_iou(boxes_xyxy, visible_boxes).argmax(axis=1)
        return AmodalPrediction.from_masks(
            np.stack([self._with_errors(frame.number, samples[k]) for k in best]),
            np.stack([samples[k].visible_mask for k in best]),
            np.full(len(best), 0.9, np.float32),
        )

    def _with_errors(self, frame: int, one: TrueObject) -> NDArray[np.bool_]:
        mask = one.visible_mask if one.amodal_mask is None else one.amodal_mask
        key = zlib.crc32(f"{frame} {one.name}".encode())
        draws = np.random.default_rng([self._seed, key]).normal(0, self._error, 3)
        growth, right, down = draws * np.sqrt(np.count_nonzero(mask))
        side = 2 * round(abs(float(growth))) + 1
        kernel = np.ones((side, side), np.uint8)
        change = cv2.dilate if growth > 0 else cv2.erode
        changed = change(mask.view(np.uint8), kernel).view(bool)
        return np.roll(changed, (round(float(down)), round(float(right))), axis=(0, 1))


def model_digest(folder: Path) -> str:
    """Of the manifest, which holds the digests of all other files of a model folder."""
    return hashlib.sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest()[:16]


def model_name(folder: Path) -> str:
    """A model's name, and whether it is trained, for people.

    Raises:
        ManifestError: the folder cannot be used.
    """
    manifest = load_manifest(folder)
    return manifest.name if manifest.trained else f"{manifest.name} (untrained)"
