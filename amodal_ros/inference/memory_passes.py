# SPDX-License-Identifier: Apache-2.0
"""Objects on their way through the graphs of SAM 2's video path (paper A.1.4).

Each object has two passes, as in an image: the base model's, whose memory holds visible masks, and
the adapted one, whose memory holds amodal masks and reads adapted features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal_ros.errors import ManifestError
from amodal_ros.inference.graph_runner import Embeddings, GraphRunner, even_slices, gives_visible
from amodal_ros.inference.prompts import PADDING_LABEL, DecoderPrompts
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.model_folder.memory import MemoryManifest
from amodal_ros.object_memory import MemoryWindow, ObjectMemory, from_bfloat16

_GAIN = "adapter_gain"
_INPUTS = {
    "memory_attention": {
        "embeddings",
        "memories",
        "memory_ages",
        "object_pointers",
        "pointer_ages",
    },
    "memory_encoder": {"embeddings", "low_res_logits", "object_score"},
    "memory_decoder": {"point_coords", "point_labels", "without_memory", "multimask"},
}
_OPTIONAL = {"memory_encoder": {"prompted"}}
_OUTPUTS = {
    "memory_attention": {"conditioned"},
    "memory_encoder": {"memory"},
    "memory_decoder": {"low_res_logits", "predicted_iou", "object_pointer", "object_score"},
}


def check_memory(manifest: ModelManifest, memory: MemoryManifest) -> None:
    """Checks that the graphs of a video path fit those of the model's images.

    Raises:
        ManifestError: naming the graph, and what it lacks or has too much.
    """
    if manifest.mode != "full":
        raise ManifestError(
            f"{manifest.name}: memory graphs: expected a model of mode full, got {manifest.mode}"
        )
    maps = {tensor.name for tensor in manifest.graphs["suffix"].outputs}
    for graph, spec in memory.graphs.items():
        expected = set(_INPUTS[graph])
        if graph == "memory_decoder":
            expected |= maps | ({_GAIN} if gives_visible(manifest) else set())
        inputs = {tensor.name for tensor in spec.inputs}
        if inputs - _OPTIONAL.get(graph, set()) != expected:
            raise ManifestError(
                f"{manifest.name}: {graph} inputs: expected {sorted(expected)},"
                f" got {sorted(inputs)}; export the model anew"
            )
        outputs = {tensor.name for tensor in spec.outputs}
        if not outputs >= _OUTPUTS[graph]:
            raise ManifestError(
                f"{manifest.name}: {graph} outputs: expected {sorted(_OUTPUTS[graph])},"
                f" got {sorted(outputs)}; export the model anew"
            )


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass gave for n objects.

    Attributes:
        logits: (n, 1, s, s) float32.
        predicted_iou: (n,) float32.
        maps: (n, K, s, s) float32, to be remembered.
        pointers: (n, C) float32, likewise.
    """

    logits: np.ndarray
    predicted_iou: np.ndarray
    maps: np.ndarray
    pointers: np.ndarray


@dataclass(frozen=True, eq=False)
class _Group:
    """Objects that one call takes: equally many points, and equally much to look at.

    Attributes:
        prompts: of the objects; padding alone where they are followed.
        past: what is remembered of each; empty: they are prompted.
    """

    prompts: DecoderPrompts
    past: tuple[ObjectMemory, ...] = ()

    def part(self, rows: slice) -> _Group:
        """Some of the objects."""
        one = self.prompts
        prompts = DecoderPrompts(one.rows[rows], one.coords[rows], one.labels[rows])
        return _Group(prompts, self.past[rows])


@dataclass(frozen=True, eq=False)
class MemoryPasses:
    """Segments objects in one call of the predictor.

    Attributes:
        memory: of the model folder.
        runner: runs its graphs.
    """

    memory: MemoryManifest
    runner: GraphRunner

    @property
    def model(self) -> str:
        """Whose memories these are."""
        return self.memory.graphs["memory_encoder"].file.sha256

    @property
    def window(self) -> MemoryWindow:
        """How far back the model looks."""
        one = self.memory
        return MemoryWindow(
            one.num_maskmem, one.memory_stride, one.max_object_pointers, one.prompted_frames
        )

    def known(self, memories: Sequence[ObjectMemory | None]) -> list[ObjectMemory]:
        """The memories that this model can read; empty ones for the others."""
        usable = [m is not None and m.model == self.model for m in memories]
        return [
            one if one is not None and fits else ObjectMemory(self.model)
            for one, fits in zip(memories, usable, strict=True)
        ]

    def step(
        self,
        passes: tuple[Embeddings, Embeddings],
        prompts: Sequence[DecoderPrompts],
        memories: Sequence[ObjectMemory],
        prompted: Sequence[bool],
    ) -> tuple[tuple[Pass, Pass], tuple[ObjectMemory, ...]]:
        """Segments n objects, at least one.

        Args:
            passes: the suffix's maps: unadapted ones, with 1 row, and the adapted ones of n rows.
            prompts: of all objects; those of followed ones are not used.
            memories: what is remembered of each.
            prompted: whether its prompt counts; an object without a memory needs one.

        Returns:
            What each pass gave, and what is remembered from now on.
        """
        empty = np.array([not one.looks for one in memories], bool)
        is_prompted = np.asarray(prompted, bool) | empty
        groups = [
            group.part(rows)
            for group in self._groups(prompts, memories, is_prompted)
            for rows in even_slices(len(group.prompts.rows), self.runner.max_batch)
        ]
        base, adapted = (self._pass(maps, groups, side) for side, maps in enumerate(passes))
        after = tuple(
            one.after(
                np.stack([base.maps[row], adapted.maps[row]]),
                np.stack([base.pointers[row], adapted.pointers[row]]),
                bool(is_prompted[row]),
                self.window,
            )
            for row, one in enumerate(memories)
        )
        return (base, adapted), after

    def _groups(
        self,
        prompts: Sequence[DecoderPrompts],
        memories: Sequence[ObjectMemory],
        is_prompted: np.ndarray,
    ) -> list[_Group]:
        groups = []
        for one in prompts:
            kept = is_prompted[one.rows]
            if kept.any():
                part = DecoderPrompts(one.rows[kept], one.coords[kept], one.labels[kept])
                groups.append(_Group(part))
        alike: dict[tuple[int, int], list[int]] = {}
        for row in np.flatnonzero(~is_prompted).tolist():
            past = memories[row]
            key = len(past.maps(self.window)), len(past.pointers(self.window))
            alike.setdefault(key, []).append(row)
        for rows in alike.values():
            # As `sam2` does: a frame without a prompt has two padding points.
            coords = np.zeros((len(rows), 2, 2), np.float32)
            labels = np.full((len(rows), 2), PADDING_LABEL, np.float32)
            nothing = DecoderPrompts(np.array(rows, np.intp), coords, labels)
            groups.append(_Group(nothing, tuple(memories[row] for row in rows)))
        return groups

    def _pass(self, maps: Embeddings, groups: Sequence[_Group], side: int) -> Pass:
        parts = [self._run(maps, group, side) for group in groups]
        order = np.argsort(np.concatenate([group.prompts.rows for group in groups]))
        logits, iou, remembered, pointers = (
            np.concatenate([part[index] for part in parts])[order] for index in range(4)
        )
        return Pass(logits, iou, remembered, pointers)

    def _run(self, maps: Embeddings, group: _Group, side: int) -> tuple[np.ndarray, ...]:
        """Logits, predicted IoU, maps and pointers of a group's objects in one pass."""
        one, count = group.prompts, len(group.prompts.rows)
        taken = {spec.name for spec in self.memory.graphs["memory_decoder"].inputs}
        rows = self.runner.rows_of(maps, one.rows, shared=False)
        own = {name: values for name, values in rows.items() if name in taken}
        image = own["embeddings"]
        if group.past:
            past = self._past(group.past, side)
            seen = self.runner.run("memory_attention", {"embeddings": image, **past}, "memory")
            own["embeddings"] = seen["conditioned"]
        decoded = self.runner.run(
            "memory_decoder",
            {
                **own,
                "point_coords": one.coords,
                "point_labels": one.labels,
                "without_memory": np.full(count, not group.past, np.float32),
                "multimask": np.full(count, self._best_of_three(one, own), np.float32),
            },
            "decoder",
        )
        given = {
            "embeddings": image,
            "low_res_logits": decoded["low_res_logits"],
            "object_score": decoded["object_score"],
        }
        if any(spec.name == "prompted" for spec in self.memory.graphs["memory_encoder"].inputs):
            given["prompted"] = np.full(count, not group.past, np.float32)
        encoded = self.runner.run("memory_encoder", given, "memory")
        names = ("low_res_logits", "predicted_iou", "object_pointer")
        logits, iou, pointers = (np.asarray(decoded[name]) for name in names)
        return logits, iou, np.asarray(encoded["memory"]), pointers

    def _best_of_three(self, prompts: DecoderPrompts, maps: Embeddings) -> bool:
        """Whether the best of three masks is wanted; a head corrects the single mask alone."""
        corrected = _GAIN in maps and bool(np.asarray(maps[_GAIN]).any())
        points = int((prompts.labels[0] != PADDING_LABEL).sum())
        return not corrected and self.memory.wants_best_of_three(points)

    def _past(self, memories: Sequence[ObjectMemory], side: int) -> dict[str, np.ndarray]:
        """What the attention looks at of objects with equally much of it, in one pass."""
        maps = [one.maps(self.window) for one in memories]
        pointers = [one.pointers(self.window) for one in memories]
        halves = np.array([[values[side] for _, values in row] for row in maps])
        return {
            "memories": from_bfloat16(halves),
            "memory_ages": np.array([[place for place, _ in row] for row in maps], np.float32),
            "object_pointers": np.array([[p[side] for _, p in row] for row in pointers]),
            "pointer_ages": np.array([[age for age, _ in row] for row in pointers], np.float32),
        }
