# SPDX-License-Identifier: Apache-2.0
"""Runs a model's graphs on any number of rows, in calls of bounded size, and times the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from amodal_ros.backends.base import Backend, RowRuns, Rows, joined
from amodal_ros.errors import ManifestError
from amodal_ros.inference.prompts import DecoderPrompts
from amodal_ros.inference.stopwatch import Stopwatch
from amodal_ros.model_folder.manifest import ModelManifest

Embeddings = Mapping[
    str, np.ndarray
]  # the suffix's outputs by name; the decoder's inputs beside the prompts

_INPUTS = {
    "prefix": {"image"},
    "suffix": {"features", "prior_masks", "adapter_gain"},
    "decoder": {"embeddings", "point_coords", "point_labels"},
}
# What a decoder with adapters of its own, or with a head for two masks alone, takes as well: what
# the suffix was given.
_ADAPTATION = {"prior_masks", "adapter_gain"}
_ADAPTATIONS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({"adapter_gain"}),
    frozenset(_ADAPTATION),
)
VISIBLE_LOGITS = "visible_logits"
_OUTPUTS = {
    "prefix": {"features"},
    "suffix": {"embeddings"},
    "decoder": {"low_res_logits", "predicted_iou"},
}


def check_graphs(manifest: ModelManifest) -> None:
    """Checks that the manifest's graphs have the tensors of architecture.md and feed each other.

    Raises:
        ManifestError: naming the graph and what it lacks or has too much.
    """
    suffix_outputs = {spec.name for spec in manifest.graphs["suffix"].outputs}
    expected = dict(_INPUTS)
    expected["decoder"] = _INPUTS["decoder"] | suffix_outputs
    adaptation = decoder_adaptation(manifest)
    if adaptation in _ADAPTATIONS:
        expected["decoder"] |= adaptation
    for graph, spec in manifest.graphs.items():
        inputs = {tensor.name for tensor in spec.inputs}
        outputs = {tensor.name for tensor in spec.outputs}
        if inputs != expected[graph]:
            raise ManifestError(
                f"{manifest.name}: {graph} inputs: expected {sorted(expected[graph])},"
                f" got {sorted(inputs)}"
            )
        if not outputs >= _OUTPUTS[graph]:
            raise ManifestError(
                f"{manifest.name}: {graph} outputs: expected {sorted(_OUTPUTS[graph])},"
                f" got {sorted(outputs)}"
            )


def decoder_adaptation(manifest: ModelManifest) -> frozenset[str]:
    """What the decoder takes of M_spec and gain: neither, the gain, or both."""
    inputs = {tensor.name for tensor in manifest.graphs["decoder"].inputs}
    return frozenset(inputs & _ADAPTATION)


def gives_visible(manifest: ModelManifest) -> bool:
    """Whether the adapted pass gives the visible mask too: no second pass is needed for it."""
    return any(t.name == VISIBLE_LOGITS for t in manifest.graphs["decoder"].outputs)


def decoder_broadcasts(manifest: ModelManifest) -> bool:
    """Whether the decoder takes one row of embeddings for N objects (named apart: E, not N)."""
    rows = {tensor.name: tensor.shape[0] for tensor in manifest.graphs["decoder"].inputs}
    return rows["embeddings"] != rows["point_coords"]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What the decoder gave for n objects, float32.

    Attributes:
        logits: (n, 1, s, s).
        predicted_iou: (n,).
        visible_logits: (n, 1, s, s); None for a decoder that gives one mask alone.
    """

    logits: np.ndarray
    predicted_iou: np.ndarray
    visible_logits: np.ndarray | None


@dataclass(frozen=True, eq=False)
class GraphRunner:
    """Runs the graphs for one call of the predictor.

    Attributes:
        backend: the engine.
        max_batch: rows given to the engine in one call.
        watch: measures the steps `prefix`, `suffix` and `decoder`: the engine alone.
        broadcasts: the decoder takes one row of embeddings for all objects (see
            `decoder_broadcasts`).
        adaptation: what the decoder takes of M_spec and gain (see `decoder_adaptation`).
    """

    backend: Backend
    max_batch: int
    watch: Stopwatch
    broadcasts: bool = False
    adaptation: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, manifest: ModelManifest, backend: Backend, max_batch: int, watch: Stopwatch
    ) -> GraphRunner:
        """A runner of a model folder's graphs."""
        broadcasts, adaptation = decoder_broadcasts(manifest), decoder_adaptation(manifest)
        return cls(backend, max_batch, watch, broadcasts, adaptation)

    def prefix(self, images: np.ndarray) -> Rows:
        """Encodes (n, 3, S, S) float32 as far as nothing depends on M_spec: (n, C, h, w)."""
        outputs = [
            self.run("prefix", {"image": images[rows]})["features"]
            for rows in even_slices(len(images), self.max_batch)
        ]
        return _in_place(outputs)

    def suffix(
        self, features: Rows, prior_masks: np.ndarray, adapter_gain: Sequence[float]
    ) -> Embeddings:
        """Completes the encoding for each of n priors.

        Args:
            features: (1, C, h, w), shared by all rows, or (n, C, h, w).
            prior_masks: (n, 1, S, S) float32.
            adapter_gain: n numbers; 0: the base model, 1: the adapted one.

        Returns:
            `embeddings` (n, C, s, s), and whatever else the decoder needs of the suffix.
        """
        gains = np.asarray(adapter_gain, dtype=np.float32)
        outputs = [
            self.run(
                "suffix",
                {
                    "features": features if len(features) == 1 else features[rows],
                    "prior_masks": prior_masks[rows],
                    "adapter_gain": gains[rows],
                },
            )
            for rows in even_slices(len(prior_masks), self.max_batch)
        ]
        found = {name: _in_place([output[name] for output in outputs]) for name in outputs[0]}
        given = {"prior_masks": prior_masks, "adapter_gain": gains}
        return found | {name: given[name] for name in self.adaptation}

    def decoder(self, embeddings: Embeddings, prompts: Sequence[DecoderPrompts]) -> Decoded:
        """Decodes n objects.

        Args:
            embeddings: with 1 row, shared by all objects, or n rows.
            prompts: of the n objects, grouped by number of points.
        """
        rows: list[np.ndarray] = []
        results: list[dict[str, np.ndarray]] = []
        for group in prompts:
            for part in even_slices(len(group.rows), self.max_batch):
                inputs = {
                    "point_coords": group.coords[part],
                    "point_labels": group.labels[part],
                    **self.rows_of(embeddings, group.rows[part], shared=self.broadcasts),
                }
                results.append(self.run("decoder", inputs))
                rows.append(group.rows[part])
        order = np.argsort(np.concatenate(rows))
        found = {name: joined([one[name] for one in results])[order] for name in results[0]}
        return Decoded(found["low_res_logits"], found["predicted_iou"], found.get(VISIBLE_LOGITS))

    def rows_of(self, embeddings: Embeddings, rows: np.ndarray, *, shared: bool) -> Embeddings:
        """The embeddings of some objects, without a copy where they are one run of rows.

        Args:
            embeddings: with 1 row, of all objects, or n rows.
            rows: (k,) of the objects.
            shared: the graph takes the single row as it is, for all k.
        """
        picked = {}
        for name, values in embeddings.items():
            if len(values) == 1:
                picked[name] = joined([values] * (1 if shared else len(rows)))
            elif rows[-1] - rows[0] == len(rows) - 1:
                picked[name] = values[rows[0] : rows[-1] + 1]
            else:
                picked[name] = values[rows]
        return picked

    def run(
        self, graph: str, inputs: Mapping[str, np.ndarray], step: str = ""
    ) -> dict[str, np.ndarray]:
        """Runs a graph; `step` is where its time counts, without a name the graph's own."""
        together = {
            name: joined(values.parts) if isinstance(values, RowRuns) else values
            for name, values in inputs.items()
        }
        with self.watch.measure(step or graph):
            return self.backend.run(graph, together)


def _in_place(parts: Sequence[Rows]) -> Rows:
    """Rows of several calls where they are: the next graph takes them by calls again."""
    return parts[0] if len(parts) == 1 else RowRuns(parts)


def even_slices(count: int, limit: int) -> list[slice]:
    """Splits `count` rows into the fewest slices of at most `limit`, of nearly equal length.

    >>> even_slices(9, 8)
    [slice(0, 5, None), slice(5, 9, None)]
    """
    parts = -(-count // limit)
    bounds = [-(-count * part // parts) for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(bounds)]
