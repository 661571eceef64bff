# SPDX-License-Identifier: Apache-2.0
"""``memory.json`` beside the manifest of a SAM 2: the graphs of the video path."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amodal_ros.model_folder.memory import MEMORY_NAME, SCHEMA_VERSION
from export.folder.model_folder import graph_entry
from export.graphs.components.memory_attention import export_memory_attention
from export.graphs.components.memory_decoder import export_memory_decoder
from export.graphs.components.memory_encoder import export_memory_encoder
from export.graphs.onnx_graph import Component

EXPORTS = {
    "memory_attention": export_memory_attention,
    "memory_encoder": export_memory_encoder,
    "memory_decoder": export_memory_decoder,
}


def export_memory(base: Any) -> list[Component]:
    """Export the graphs of the video path.

    Args:
        base: Official ``SAM2Base``, not prepared.
    """
    return [export(base) for export in EXPORTS.values()]


def write_memory(folder: Path, components: Sequence[Component], base: Any) -> None:
    """Write ``memory.json``: the graphs, and what a caller keeps how long.

    Args:
        folder: With the graphs' files.
        components: From :func:`export_memory`.
        base: Official ``SAM2Base``.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "num_maskmem": int(base.num_maskmem),
        "memory_stride": int(base.memory_temporal_stride_for_eval),
        "max_object_pointers": int(base.max_obj_ptrs_in_encoder),
        "max_conditioning_frames": int(base.max_cond_frames_in_attn),
        "multimask_points": [int(base.multimask_min_pt_num), int(base.multimask_max_pt_num)],
        "graphs": {c.name: graph_entry(folder, c) for c in components},
    }
    text = json.dumps(content, indent=2) + "\n"
    (folder / MEMORY_NAME).write_text(text, encoding="utf-8")
