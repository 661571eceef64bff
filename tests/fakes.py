# SPDX-License-Identifier: Apache-2.0
"""A model small enough to reason about: its masks are the prompt box and, with a gain, M_spec."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amodal_ros.backends.base import check_tensors
from amodal_ros.model_folder.manifest import ModelManifest, parse_manifest

SIZE, LOW, EMBED = 64, 32, 4
FILE = {"file": "x.onnx", "sha256": "0" * 64, "bytes": 1}


def manifest_content(
    mode: str = "full", geometry: str = "letterbox", *, one_pass: bool = False, size: int = SIZE
) -> dict[str, Any]:
    """A manifest of the fake model, as decoded from JSON.

    ``one_pass``: its decoder gives the visible mask too, and so takes the gain.
    """
    rows: int | str = "N" if mode == "roi" else 1
    low, embed = size * LOW // SIZE, size * EMBED // SIZE

    def tensor(name: str, *shape: int | str) -> dict[str, Any]:
        return {"name": name, "dtype": "float32", "shape": list(shape)}

    graphs = {
        "prefix": (
            [tensor("image", rows, 3, size, size)],
            [tensor("features", rows, 1, size, size)],
        ),
        "suffix": (
            [
                tensor("features", rows, 1, size, size),
                tensor("prior_masks", "N", 1, size, size),
                tensor("adapter_gain", "N"),
            ],
            [tensor("embeddings", "N", 2, size, size)],
        ),
        "decoder": (
            [
                tensor("embeddings", "N", 2, size, size),
                tensor("point_coords", "N", "P", 2),
                tensor("point_labels", "N", "P"),
            ],
            [tensor("low_res_logits", "N", 1, low, low), tensor("predicted_iou", "N")],
        ),
    }
    if one_pass:
        graphs["decoder"][0].append(tensor("adapter_gain", "N"))
        graphs["decoder"][1].append(tensor("visible_logits", "N", 1, low, low))
    content = {
        "schema_version": 1,
        "name": "fake",
        "family": "mobile_sam",
        "mode": mode,
        "geometry": geometry,
        "image_size": size,
        "embedding_size": embed,
        "low_res_size": low,
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "mask_threshold": 0.0,
        "prior_expand": 1.2,
        "weights_precision": "fp32",
        "compute_precision": "fp32",
        "opset": 17,
        "trained": False,
        "graphs": {
            name: {**FILE, "inputs": inputs, "outputs": outputs}
            for name, (inputs, outputs) in graphs.items()
        },
        "reference": {**FILE, "file": "reference.npz"},
        "source": {"base": "none"},
    }
    if mode == "roi":
        content["roi_factor"] = 2.0
    return content


def fake_manifest(
    mode: str = "full", geometry: str = "letterbox", *, one_pass: bool = False, size: int = SIZE
) -> ModelManifest:
    """The fake model's manifest, without a folder behind it."""
    content = manifest_content(mode, geometry, one_pass=one_pass, size=size)
    return parse_manifest(content, Path("nowhere"))


class FakeBackend:
    """Computes in plain numpy what a model with these rules would.

    - features: the image's mean over the channels.
    - embeddings: the features, and M_spec times the gain.
    - logits: positive inside the prompt box (or within 8 input pixels of the first point), and,
      through the gain, wherever M_spec is 1.
    - visible logits, of a model of one pass: the same without M_spec.
    - predicted IoU: the mean of the M_spec channel.
    """

    name = "fake"

    def __init__(self, manifest: ModelManifest) -> None:
        self._graphs = manifest.graphs
        self._lock = threading.Lock()
        self.interrupted = False
        self.calls: list[tuple[str, dict[str, np.ndarray]]] = []

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        spec = self._graphs[graph]
        lengths: dict[str, int] = {}
        check_tensors(f"{graph} input", spec.inputs, inputs, lengths)
        with self._lock:
            self.calls.append((graph, dict(inputs)))
        outputs = getattr(self, f"_{graph}")(**inputs)
        check_tensors(f"{graph} output", spec.outputs, outputs, lengths)
        return outputs

    def interrupt(self) -> None:
        self.interrupted = True

    def close(self) -> None:
        self._graphs = {}

    def graphs_run(self) -> list[str]:
        """Names of the graphs that were run, in order."""
        return [graph for graph, _ in self.calls]

    def _prefix(self, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"features": image.mean(axis=1, keepdims=True)}

    def _suffix(
        self, features: np.ndarray, prior_masks: np.ndarray, adapter_gain: np.ndarray
    ) -> dict[str, np.ndarray]:
        spec = prior_masks * adapter_gain[:, None, None, None]
        shared = np.broadcast_to(features, spec.shape)
        return {"embeddings": np.concatenate([shared, spec], axis=1).astype(np.float32)}

    def _decoder(
        self,
        embeddings: np.ndarray,
        point_coords: np.ndarray,
        point_labels: np.ndarray,
        adapter_gain: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        step = SIZE // LOW
        low = embeddings.shape[-1] // step
        embeddings = np.broadcast_to(embeddings, (len(point_coords), *embeddings.shape[1:]))
        centres = (np.arange(low) + 0.5) * step
        x, y = centres[None, :], centres[:, None]
        logits = np.empty((len(embeddings), 1, low, low), np.float32)
        visible = np.empty_like(logits)
        for row, (coords, labels) in enumerate(zip(point_coords, point_labels, strict=True)):
            spec = embeddings[row, 1].reshape(low, step, low, step).mean(axis=(1, 3))
            corners = coords[labels >= 2]
            if len(corners):
                (x0, y0), (x1, y1) = corners
                inside = np.minimum(np.minimum(x - x0, x1 - x), np.minimum(y - y0, y1 - y))
            else:
                inside = 8 - np.hypot(x - coords[0, 0], y - coords[0, 1])
            visible[row, 0] = np.clip(inside, -2, 2)
            logits[row, 0] = np.maximum(visible[row, 0], 4 * spec - 2)
        iou = embeddings[:, 1].mean(axis=(1, 2))
        found = {"low_res_logits": logits, "predicted_iou": iou.astype(np.float32)}
        return found if adapter_gain is None else {**found, "visible_logits": visible}
