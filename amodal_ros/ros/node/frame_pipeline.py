# SPDX-License-Identifier: Apache-2.0
"""From the messages of one frame to its answer: conversion, tracks, model, mask message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from amodal_msgs.msg import AmodalMaskArray
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from amodal_ros.errors import InvalidInputError
from amodal_ros.inference.stopwatch import Stopwatch
from amodal_ros.ros.convert.compressed import compressed_to_rgb
from amodal_ros.ros.convert.images import image_to_rgb
from amodal_ros.ros.convert.masks import encode_masks
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.inputs.box_reader import BoxReader
from amodal_ros.ros.watch.faults import Doubt, Fault, FaultLog
from amodal_ros.ros.watch.plausibility import exposure
from amodal_ros.tracking.tracker import AmodalTracker, TrackedObject
from amodal_ros.types import AmodalPrediction, Detections, ImageFeatures, PointPrompt


class Predictor(Protocol):
    """What the node needs of ``amodal_ros.inference.predictor.AmodalPredictor``."""

    @property
    def encodes_ahead(self) -> bool:
        """Whether an image is best encoded while the objects of the one before are predicted."""

    def encode(self, image_rgb: np.ndarray) -> ImageFeatures:
        """Encode an image once."""

    def predict(
        self,
        features: ImageFeatures,
        boxes_xyxy: np.ndarray | None = None,
        prior_masks: Sequence[np.ndarray | None] | None = None,
        *,
        points: Sequence[PointPrompt | None] | None = None,
    ) -> AmodalPrediction:
        """Masks of N objects."""

    def warm_up(self) -> None:
        """Run the whole model once."""

    def interrupt(self) -> None:
        """Let the engine leave the work that it is at; thread-safe, returns at once."""

    def close(self) -> None:
        """Free the engine."""


@dataclass(frozen=True)
class FrameAnswer:
    """What one frame led to.

    Attributes:
        masks: the message, with the source image's header.
        objects: what the message was made of.
        image_rgb: (H, W, 3) uint8, maybe a view of the source message.
        timings_ms: ``convert`` (messages to arrays), ``preprocess``, ``prefix``, ``prior``,
            ``suffix``, ``decoder``, ``postprocess``, ``track`` and ``message`` in milliseconds.
    """

    masks: AmodalMaskArray
    objects: tuple[TrackedObject, ...]
    image_rgb: np.ndarray
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class BegunFrame:
    """A frame before its turn: what does not depend on the frames before it.

    Attributes:
        image: the message.
        rgb: (H, W, 3) uint8, maybe a view of the message.
        detections: its usable boxes.
        features: of the image, where it was encoded ahead.
        predictor: that encoded it.
        lent: gives the predictor back when it is closed.
        watch: the times so far.
    """

    image: Image | CompressedImage
    rgb: np.ndarray
    detections: Detections
    features: ImageFeatures | None
    predictor: Predictor | None
    lent: ExitStack
    watch: Stopwatch


class FramePipeline:
    """Answers frames in their order; holds the tracks between them.

    Args:
        lend_predictor: gives the loaded model for the time of one frame.
        tracker: its tracks are this camera's.
        faults: bad images, left out boxes and empty masks are counted there.
        boxes: reads the box messages.

    Attributes:
        min_score: detections below it are ignored.
        image_bits: bits that each sample of 16-bit images holds.
    """

    def __init__(
        self,
        lend_predictor: Callable[[], AbstractContextManager[Predictor]],
        tracker: AmodalTracker,
        faults: FaultLog,
        boxes: BoxReader,
    ) -> None:
        self._lend_predictor = lend_predictor
        self.tracker = tracker
        self._faults = faults
        self.boxes = boxes
        self._exposure = Doubt(faults, Fault.EXPOSURE, begin=3)
        self.min_score = 0.0
        self.image_bits = 16

    def begin(
        self,
        image: Image | CompressedImage,
        detections: Detection2DArray,
        encode_ahead: bool = False,
    ) -> BegunFrame | None:
        """Convert a frame's messages; None if its image is bad (counted).

        May run while the frame before is in ``finish``. What it returns must go to ``finish``.

        Args:
            image: raw or compressed.
            detections: its boxes.
            encode_ahead: encode the image too, if there is anything to look for.

        Raises:
            AmodalError: if the engine fails.
        """
        watch = Stopwatch("convert", "track", "message")
        with watch.measure("convert"):
            try:
                rgb = message_to_rgb(image, self.image_bits)
            except InvalidInputError as error:
                self._faults.report(Fault.BAD_IMAGE, f"image left out: {error}")
                return None
            self._exposure.see(exposure(rgb, getattr(image, "encoding", ""), self.image_bits))
            found = self.boxes.read(
                detections, rgb.shape[:2], self.min_score, self.tracker.config.max_objects
            )
        with ExitStack() as stack:
            predictor, features = None, None
            if encode_ahead and (len(found) or len(self.tracker)):
                predictor = stack.enter_context(self._lend_predictor())
                features = predictor.encode(rgb)
            return BegunFrame(image, rgb, found, features, predictor, stack.pop_all(), watch)

    def finish(
        self, begun: BegunFrame, cancelled: Callable[[], bool] = lambda: False
    ) -> FrameAnswer | None:
        """Answer a frame in its turn; None if it was cancelled.

        Raises:
            AmodalError: if the engine fails; the tracks are then those of the frame before.
        """
        watch, rgb, image_hw = begun.watch, begun.rgb, begun.rgb.shape[:2]
        with begun.lent:
            with watch.measure("track"):
                stamp_s = stamp_to_ns(begun.image.header.stamp) / 1e9
                plan = self.tracker.plan(begun.detections, stamp_s, image_hw, rgb)
            predictor, features = begun.predictor, begun.features
            engine_ms = {} if features is None else dict(features.timings_ms)
            prediction = AmodalPrediction.empty(image_hw)
            if len(plan.boxes_xyxy):
                if predictor is None or features is None:
                    predictor = begun.lent.enter_context(self._lend_predictor())
                    features = predictor.encode(rgb)
                    engine_ms.update(features.timings_ms)
                if cancelled():
                    return None
                points = plan.points if any(p is not None for p in plan.points) else None
                prediction = predictor.predict(
                    features, plan.boxes_xyxy, plan.prior_masks, points=points
                )
                engine_ms.update(prediction.timings_ms)
        if cancelled():
            return None
        with watch.measure("track"):
            objects = self.tracker.update(plan, prediction)
        with watch.measure("message"):
            encoded = encode_masks(objects, begun.image.header, image_hw)
        self._faults.count(Fault.EMPTY_MASK, encoded.empty)
        return FrameAnswer(encoded.message, objects, rgb, {**engine_ms, **watch.timings_ms})

    def clear_alarms(self) -> None:
        """End what is told of the images and boxes of this camera."""
        self.boxes.clear()
        self._exposure.clear()


def message_to_rgb(image: Image | CompressedImage, bits: int = 16) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image, raw or compressed.

    Args:
        image: the message.
        bits: that each sample of a 16-bit image holds.

    Raises:
        InvalidInputError: if the message is not a consistent image.
    """
    if isinstance(image, CompressedImage):
        return compressed_to_rgb(image, bits)
    return image_to_rgb(image, bits)


def warm_up(predictor: Predictor) -> None:
    """Run the model and a tracker once, so that no frame pays for what is made on first use.

    Raises:
        AmodalError: if the engine fails.
    """
    predictor.warm_up()
    tracker, image_hw = AmodalTracker(), (64, 64)
    picture = np.full((*image_hw, 3), 127, np.uint8)
    picture[::8, ::8] = 255  # corners, whose motion is followed
    mask = np.zeros((1, *image_hw), bool)
    mask[:, 16:48, 16:48] = True
    prediction = AmodalPrediction(mask, mask, np.ones(1, np.float32))
    for stamp_s in (1.0, 2.0):  # the second one continues a track
        found = Detections.from_boxes([[16.0, 16.0, 48.0, 48.0]])
        tracker.update(tracker.plan(found, stamp_s, image_hw, picture), prediction)
