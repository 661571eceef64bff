# SPDX-License-Identifier: Apache-2.0
"""`memory.json` beside the manifest of a SAM 2: the graphs of its video path, and SAM 2's numbers.

The node follows objects with these graphs where a folder holds them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from amodal_ros.errors import ManifestError
from amodal_ros.model_folder.fields import FieldReader
from amodal_ros.model_folder.manifest import (
    GraphSpec,
    ModelManifest,
    read_graph_spec,
    verify_files,
)

MEMORY_NAME = "memory.json"
SCHEMA_VERSION = 1
GRAPHS = ("memory_attention", "memory_encoder", "memory_decoder")
# Where SAM 2 sets no limit to the prompted frames that it looks at: the first and the last.
PROMPTED_FRAMES = 2


@dataclass(frozen=True)
class MemoryManifest:
    """The content of `memory.json`, schema version 1.

    Attributes:
        num_maskmem: frames whose masks are looked at, with one prompted frame among them.
        memory_stride: of these frames; 1: each.
        max_object_pointers: frames whose object pointers are looked at.
        max_conditioning_frames: prompted frames that are looked at; -1: all.
        multimask_points: least and greatest number of points with which the best of three masks
            is wanted.
        graphs: `memory_attention`, `memory_encoder` and `memory_decoder`.
    """

    num_maskmem: int
    memory_stride: int
    max_object_pointers: int
    max_conditioning_frames: int
    multimask_points: tuple[int, ...]
    graphs: Mapping[str, GraphSpec]

    @property
    def prompted_frames(self) -> int:
        """How many prompted frames are kept, and so looked at."""
        limit = self.max_conditioning_frames
        return limit if limit > 0 else PROMPTED_FRAMES

    @property
    def reach(self) -> str:
        """How far back the model looks, for people."""
        return (
            f"{self.num_maskmem - 1} frames, {self.prompted_frames} prompted ones,"
            f" {self.max_object_pointers - 1} object pointers"
        )

    def wants_best_of_three(self, points: int) -> bool:
        """What `multimask` is for a frame with this many points, padding apart."""
        least, greatest = self.multimask_points
        return least <= points <= greatest


def load_memory(directory: Path) -> MemoryManifest | None:
    """Reads `memory.json` and checks every file it names; None: the model has no video path.

    Raises:
        ManifestError: naming the file or field, what was expected and what came.
    """
    path = directory / MEMORY_NAME
    if not path.is_file():
        left = [name for name in GRAPHS if (directory / f"{name}.onnx").exists()]
        if left:
            raise ManifestError(
                f"{path}: expected this file beside {', '.join(left)}, found none; export the"
                " model anew, or take these graphs away"
            )
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: expected JSON, got: {error}") from error
    memory = parse_memory(content, str(path))
    verify_files(directory, [f for graph in memory.graphs.values() for f in graph.files])
    return memory


def parse_memory(content: object, place: str) -> MemoryManifest:
    """Builds it from the decoded JSON; touches no file.

    Raises:
        ManifestError: for a missing, unknown or wrong field, or another schema version.
    """
    fields = FieldReader(content, place)
    version = fields.integer("schema_version", minimum=1)
    if version != SCHEMA_VERSION:
        raise ManifestError(f"{place}: schema_version: expected {SCHEMA_VERSION}, got {version}")
    graphs = fields.section("graphs")
    memory = MemoryManifest(
        num_maskmem=fields.integer("num_maskmem", minimum=1),
        memory_stride=fields.integer("memory_stride", minimum=1),
        max_object_pointers=fields.integer("max_object_pointers", minimum=1),
        max_conditioning_frames=fields.integer("max_conditioning_frames", minimum=-1),
        multimask_points=fields.integers("multimask_points", 2, minimum=0),
        graphs={name: read_graph_spec(graphs.section(name)) for name in GRAPHS},
    )
    graphs.end()
    fields.end()
    others = memory.prompted_frames - 1
    # `P` counts points in the decoder, and pointers here.
    greatest = {"M": memory.num_maskmem + others, "P": memory.max_object_pointers + others}
    attention = replace(memory.graphs["memory_attention"], greatest=greatest)
    return replace(memory, graphs={**memory.graphs, "memory_attention": attention})


def with_memory(manifest: ModelManifest, memory: MemoryManifest | None) -> ModelManifest:
    """A manifest whose graphs are those of images and those of the video path."""
    if memory is None:
        return manifest
    return replace(manifest, graphs={**manifest.graphs, **memory.graphs})
