# SPDX-License-Identifier: Apache-2.0
"""A video path small enough to reason about: a mask is remembered, and comes again as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from amodal_ros.model_folder.memory import parse_memory, with_memory
from tests.fakes import FILE, LOW, SIZE, FakeBackend, fake_manifest

POINTERS = 16


def memory_content() -> dict[str, Any]:
    """A `memory.json` of the fake model, as decoded from JSON."""

    def tensors(shapes: Mapping[str, tuple[int | str, ...]]) -> list[dict[str, Any]]:
        return [{"name": n, "dtype": "float32", "shape": list(s)} for n, s in shapes.items()]

    image: tuple[int | str, ...] = ("N", 2, SIZE, SIZE)
    logits: tuple[int | str, ...] = ("N", 1, LOW, LOW)
    graphs = {
        "memory_attention": (
            {
                "embeddings": image,
                "memories": ("N", "M", 1, LOW, LOW),
                "memory_ages": ("N", "M"),
                "object_pointers": ("N", "P", 2),
                "pointer_ages": ("N", "P"),
            },
            {"conditioned": image},
        ),
        "memory_encoder": (
            {
                "embeddings": image,
                "low_res_logits": logits,
                "object_score": ("N", 1),
                "prompted": ("N",),
            },
            {"memory": logits},
        ),
        "memory_decoder": (
            {
                "embeddings": image,
                "point_coords": ("N", "P", 2),
                "point_labels": ("N", "P"),
                "without_memory": ("N",),
                "multimask": ("N",),
            },
            {
                "low_res_logits": logits,
                "predicted_iou": ("N",),
                "object_pointer": ("N", 2),
                "object_score": ("N", 1),
            },
        ),
    }
    return {
        "schema_version": 1,
        "num_maskmem": 7,
        "memory_stride": 1,
        "max_object_pointers": POINTERS,
        "max_conditioning_frames": -1,
        "multimask_points": [0, 1],
        "graphs": {
            name: {**FILE, "inputs": tensors(inputs), "outputs": tensors(outputs)}
            for name, (inputs, outputs) in graphs.items()
        },
    }


MANIFEST = fake_manifest("full", "stretch")
MEMORY = parse_memory(memory_content(), "memory.json")


class FakeVideoBackend(FakeBackend):
    """`FakeBackend` with the graphs of the video path."""

    def __init__(self) -> None:
        super().__init__(with_memory(MANIFEST, MEMORY))

    def _memory_attention(
        self, embeddings: np.ndarray, memories: np.ndarray, **_: np.ndarray
    ) -> dict[str, np.ndarray]:
        step = SIZE // LOW
        remembered = np.kron(memories[:, -1, 0], np.ones((step, step), np.float32))
        return {"conditioned": np.stack([embeddings[:, 0], remembered], axis=1)}

    def _memory_encoder(self, low_res_logits: np.ndarray, **_: np.ndarray) -> dict[str, Any]:
        return {"memory": (low_res_logits > 0).astype(np.float32)}

    def _memory_decoder(
        self,
        embeddings: np.ndarray,
        point_coords: np.ndarray,
        point_labels: np.ndarray,
        without_memory: np.ndarray,
        **_: np.ndarray,
    ) -> dict[str, np.ndarray]:
        decoded = self._decoder(embeddings, point_coords, point_labels)
        if not without_memory.all():  # no point counts, only what is remembered
            step = SIZE // LOW
            kept = embeddings[:, 1:, step // 2 :: step, step // 2 :: step]
            decoded["low_res_logits"] = 4 * kept - 2
        count = len(embeddings)
        return {
            **decoded,
            "object_pointer": embeddings.mean(axis=(2, 3)),
            "object_score": np.ones((count, 1), np.float32),
        }
