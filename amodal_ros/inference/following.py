# SPDX-License-Identifier: Apache-2.0
"""Objects of a stream, segmented from what SAM 2 remembers of them (paper 3.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.inference.graph_runner import Embeddings, even_slices
from amodal_ros.inference.memory_passes import MemoryPasses
from amodal_ros.inference.postprocess import masks_from_logits
from amodal_ros.inference.prompts import ObjectQueries, decoder_prompts
from amodal_ros.inference.segmenter import ObjectSegmenter
from amodal_ros.object_features import ObjectFeatures
from amodal_ros.object_memory import ObjectMemory
from amodal_ros.types import AmodalPrediction, ImageFeatures


def follow_objects(
    segmenter: ObjectSegmenter,
    passes: MemoryPasses,
    features: ImageFeatures,
    queries: ObjectQueries,
    memories: Sequence[ObjectMemory | None],
    prompted: Sequence[bool],
) -> AmodalPrediction:
    """Segments N objects, at least one, `max_batch` of them at a time.

    Args:
        segmenter: of the call.
        passes: likewise.
        features: of the image.
        queries: the objects, with boxes.
        memories: what is remembered of each; None: nothing.
        prompted: N: whether box and points count.
    """
    known = passes.known(memories)
    unadapted: Embeddings | None = None  # of the image: computed with the first objects
    raw: list[CroppedMask] = []
    visible: list[CroppedMask] = []
    iou: list[np.ndarray] = []
    remembered: list[ObjectMemory] = []
    geometries = [features.encoded[1]] * len(queries)
    threshold, watch = segmenter.manifest.mask_threshold, segmenter.runner.watch
    for rows in even_slices(len(queries), segmenter.runner.max_batch):
        part, places = queries.part(rows), geometries[rows]
        with watch.measure("prior"):
            prompts = decoder_prompts(part, places, segmenter.manifest.family)
        unadapted, adapted = segmenter.both_passes(features, part, unadapted)
        (base, whole), after = passes.step(
            (unadapted, adapted), prompts, known[rows], prompted[rows]
        )
        with watch.measure("postprocess"):
            raw += masks_from_logits(whole.logits, places, threshold)
            visible += masks_from_logits(base.logits, places, threshold)
        iou.append(whole.predicted_iou)
        remembered += after
    surroundings = None
    if unadapted is not None:
        surroundings = ObjectFeatures(unadapted["embeddings"], tuple(geometries))
    return AmodalPrediction(
        features.original_hw,
        tuple(raw),
        tuple(visible),
        np.concatenate(iou),
        watch.timings_ms,
        surroundings,
        remembered=tuple(remembered),
    )
