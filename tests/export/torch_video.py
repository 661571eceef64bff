# SPDX-License-Identifier: Apache-2.0
"""A SAM 2 in torch as an engine with the graphs of its video path: what export would write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amodal_ros.model_folder.manifest import FileSpec, GraphSpec, TensorSpec
from amodal_ros.model_folder.memory import GRAPHS, MemoryManifest
from amodal_ros.modeling.amodal_sam2 import AmodalSam2
from amodal_ros.modeling.torch_backend import HIGH_RES, Arrays, TorchBackend
from amodal_ros.modeling.two_mask_head import two_mask_head
from export.graphs.memory_attention import MemoryAttentionGraph
from export.graphs.memory_frame import MemoryDecoderGraph, MemoryEncoderGraph
from export.graphs.prepare import prepare

INPUTS = {
    "memory_attention": (
        "embeddings",
        "memories",
        "memory_ages",
        "object_pointers",
        "pointer_ages",
    ),
    "memory_encoder": ("embeddings", "low_res_logits", "object_score"),
    "memory_decoder": (
        *("embeddings", *HIGH_RES, "point_coords", "point_labels"),
        *("without_memory", "multimask"),
    ),
}
OUTPUTS = {
    "memory_attention": ("conditioned",),
    "memory_encoder": ("memory",),
    "memory_decoder": ("low_res_logits", "predicted_iou", "object_pointer", "object_score"),
}


class TorchVideoBackend(TorchBackend):
    """`TorchBackend` with the modules from which the graphs of the video path are exported."""

    def __init__(self, model: AmodalSam2) -> None:
        super().__init__(model)
        base: Any = model.base
        self._video = {
            "memory_attention": prepare(MemoryAttentionGraph(base)),
            "memory_encoder": prepare(MemoryEncoderGraph(base)),
            "memory_decoder": prepare(MemoryDecoderGraph(base, two_mask_head(model.adapters))),
        }
        self.calls: list[tuple[str, dict[str, np.ndarray]]] = []

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        self.calls.append((graph, dict(inputs)))
        if graph not in self._video:
            return super().run(graph, inputs)
        given = {n: torch.from_numpy(np.ascontiguousarray(value)) for n, value in inputs.items()}
        names = [name for name in (*INPUTS[graph], "prompted", "adapter_gain") if name in given]
        with torch.inference_mode():
            found = self._video[graph](*(given[name] for name in names))
        found = found if isinstance(found, tuple) else (found,)
        return {n: v.numpy() for n, v in zip(OUTPUTS[graph], found, strict=True)}


def memory_of(model: AmodalSam2) -> MemoryManifest:
    """The `memory.json` that export would write, without files."""
    base: Any = model.base
    more = {
        "memory_encoder": ("prompted",) * bool(base.binarize_mask_from_pts_for_mem_enc),
        "memory_decoder": ("adapter_gain",) * (two_mask_head(model.adapters) is not None),
    }

    def specs(names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, "float32", ("N",)) for name in names)

    graphs = {
        name: GraphSpec(
            FileSpec(str(Path(f"{name}.onnx")), "0" * 64, 1),
            specs((*INPUTS[name], *more.get(name, ()))),
            specs(OUTPUTS[name]),
        )
        for name in GRAPHS
    }
    return MemoryManifest(
        num_maskmem=int(base.num_maskmem),
        memory_stride=int(base.memory_temporal_stride_for_eval),
        max_object_pointers=int(base.max_obj_ptrs_in_encoder),
        max_conditioning_frames=int(base.max_cond_frames_in_attn),
        multimask_points=(int(base.multimask_min_pt_num), int(base.multimask_max_pt_num)),
        graphs=graphs,
    )
