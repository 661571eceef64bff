# SPDX-License-Identifier: Apache-2.0
"""The gate of an export: each graph, the whole chain, and the video path, against torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from amodal_ros.backends.base import Backend
from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.errors import BackendError
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import ModelManifest
from amodal_ros.model_folder.memory import MemoryManifest, load_memory
from amodal_ros.modeling.prompts import PADDING
from amodal_ros.modeling.torch_backend import HIGH_RES
from amodal_ros.modeling.two_mask_head import TwoMaskHead, two_mask_head, two_masks_decoded
from amodal_ros.verification.gate import compare_with_reference
from amodal_ros.verification.measures import Comparison, Limits
from amodal_ros.verification.reference import load_reference
from export.graphs.sam2_decoder import decoder_maps
from export.options import ExportOptions
from export.parity import GraphDifference, graph_differences, worst_difference
from export.source import SourceModel

# Objects, and frames seen before: of one, of a few, of more than the spatial memory holds.
HISTORIES = ((1, 1), (2, 3), (1, 10))
STREAM = 1000  # frames; longer than any history, as a stream is

Case = tuple[str, dict[str, torch.Tensor], dict[str, torch.Tensor]]


def measure_memory(
    manifest: ModelManifest,
    memory: MemoryManifest,
    base: Any,
    two_masks: TwoMaskHead | None = None,
    *,
    seed: int,
) -> list[GraphDifference]:
    """Compare each graph with the official method that it stands for."""
    generator = torch.Generator().manual_seed(seed)
    worst: dict[tuple[str, str], GraphDifference] = {}
    engine = OnnxRuntimeBackend(replace(manifest, graphs=memory.graphs))
    with closing(engine) as backend, torch.inference_mode():
        for graph, inputs, expected in memory_cases(base, generator, two_masks):
            names = {spec.name for spec in memory.graphs[graph].inputs}
            arrays = {k: v.contiguous().numpy() for k, v in inputs.items() if k in names}
            worst_difference(worst, graph, backend.run(graph, arrays), _arrays(expected))
    return list(worst.values())


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in tensors.items()}


def memory_cases(
    base: Any, generator: torch.Generator, two_masks: TwoMaskHead | None = None
) -> Iterator[Case]:
    """Give inputs of each graph and what the official model makes of them."""
    for objects, frames in HISTORIES:
        yield _attention_case(base, objects, frames, generator)
        for prompted in (False, True):
            yield _encoder_case(base, objects, prompted, generator)
            gain = (torch.arange(objects) % 2 == 0).float()
            with two_masks_decoded(base.sam_mask_decoder, two_masks, gain):
                yield _decoder_case(base, objects, prompted, gain, generator)


def _attention_case(base: Any, objects: int, frames: int, generator: torch.Generator) -> Case:
    """A prompted frame 0 and tracked ones up to the last before this one, number ``frames``."""
    side, window = base.sam_image_embedding_size, base.num_maskmem
    embeddings = _normal((objects, base.hidden_dim, side, side), generator)
    place = base.memory_encoder.position_encoding(embeddings)
    outputs = [
        {
            "maskmem_features": _normal((objects, base.mem_dim, side, side), generator),
            "maskmem_pos_enc": [place.expand(objects, -1, -1, -1)],
            "obj_ptr": _normal((objects, base.hidden_dim), generator),
        }
        for _ in range(frames)
    ]
    position = base.image_encoder.neck.position_encoding(embeddings)
    expected = base._prepare_memory_conditioned_features(
        frame_idx=frames,
        is_init_cond_frame=False,
        current_vision_feats=[embeddings.flatten(2).permute(2, 0, 1)],
        current_vision_pos_embeds=[position.flatten(2).permute(2, 0, 1)],
        feat_sizes=[(side, side)],
        output_dict={
            "cond_frame_outputs": {0: outputs[0]},
            "non_cond_frame_outputs": dict(list(enumerate(outputs))[1:]),
        },
        num_frames=STREAM,
    )
    kept = [0, *range(max(1, frames - window + 1), frames)]
    ages = [window, *(frames - index for index in kept[1:])]
    pointed = [0, *range(max(1, frames - base.max_obj_ptrs_in_encoder + 1), frames)]
    inputs = {
        "embeddings": embeddings,
        "memories": torch.stack([outputs[i]["maskmem_features"] for i in kept], dim=1),
        "memory_ages": torch.tensor(ages).float().expand(objects, -1),
        "object_pointers": torch.stack([outputs[i]["obj_ptr"] for i in pointed], dim=1),
        "pointer_ages": torch.tensor([frames - i for i in pointed]).float().expand(objects, -1),
    }
    return "memory_attention", inputs, {"conditioned": expected}


def _encoder_case(base: Any, objects: int, prompted: bool, generator: torch.Generator) -> Case:
    side = base.sam_image_embedding_size
    embeddings = _normal((objects, base.hidden_dim, side, side), generator)
    logits = 5 * _normal((objects, 1, 4 * side, 4 * side), generator)
    score = _normal((objects, 1), generator)
    size = (base.image_size, base.image_size)
    expected, _ = base._encode_new_memory(
        current_vision_feats=[embeddings.flatten(2).permute(2, 0, 1)],
        feat_sizes=[(side, side)],
        pred_masks_high_res=F.interpolate(logits, size, mode="bilinear", align_corners=False),
        object_score_logits=score,
        is_mask_from_pts=prompted,
    )
    inputs = {
        "embeddings": embeddings,
        "low_res_logits": logits,
        "object_score": score,
        "prompted": torch.full((objects,), float(prompted)),
    }
    return "memory_encoder", inputs, {"memory": expected}


def _decoder_case(
    base: Any, objects: int, multimask: bool, gain: torch.Tensor, generator: torch.Generator
) -> Case:
    """Every other row as if it were the frame of a prompt."""
    maps = [
        0.2 * _normal((objects, *(int(s) for s in tensor.shape[1:])), generator)
        for tensor in decoder_maps(base, "N")
    ]
    coords = base.image_size * torch.rand((objects, 2, 2), generator=generator)
    labels = torch.randint(0, 4, (objects, 2), generator=generator)
    without = (torch.arange(objects) % 2).float()
    image = maps[0] + without[:, None, None, None] * base.no_mem_embed[0, 0, :, None, None]
    found = base._forward_sam_heads(
        backbone_features=image,
        point_inputs={"point_coords": coords, "point_labels": labels.int()},
        high_res_features=maps[1:],
        multimask_output=multimask,
    )
    _, _, iou, logits, _, pointer, score = found
    inputs = {
        **dict(zip(("embeddings", *HIGH_RES), maps, strict=True)),
        "point_coords": F.pad(coords, (0, 0, 0, 1)),  # sam2 appends this padding itself
        "point_labels": F.pad(labels.float(), (0, 1), value=PADDING),
        "without_memory": without,
        "multimask": torch.full((objects,), float(multimask)),
        "adapter_gain": gain,
    }
    expected = {
        "low_res_logits": logits,
        "predicted_iou": iou.amax(dim=1),
        "object_pointer": pointer,
        "object_score": score,
    }
    return "memory_decoder", inputs, expected


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator)


# Greatest difference from torch, relative to the greatest value of the output.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2}
RANDOM_WEIGHTS = (
    "the base weights are random: this proves that the graphs compute what torch does, and says "
    "nothing about masks of real weights"
)


@dataclass(frozen=True)
class ParityReport:
    """What was measured.

    Attributes:
        graphs: Per output.
        end_to_end: The reference scene.
        random_weights: Whether the base model was never trained.
    """

    graphs: tuple[GraphDifference, ...]
    end_to_end: Comparison
    random_weights: bool = False

    def __str__(self) -> str:
        lines = [*map(str, self.graphs), str(self.end_to_end)]
        return "\n".join([*lines, RANDOM_WEIGHTS] if self.random_weights else lines)

    def failures(self, tolerance: float, min_mask_iou: float, max_iou_error: float) -> list[str]:
        """List what is beyond the limits; NaN is."""
        found = [
            f"{graph} exceeds {tolerance:.0e}"
            for graph in self.graphs
            if not graph.relative <= tolerance
        ]
        # Both sides compute in fp32: every mask counts, not their distribution.
        limits = Limits(
            min_mean_iou=min_mask_iou,
            min_low_iou=min_mask_iou,
            min_worst_iou=min_mask_iou,
            max_iou_error=max_iou_error,
        )
        if not self.end_to_end.passes(limits):
            found.append(
                f"{self.end_to_end}; expected at least {min_mask_iou}, at most {max_iou_error}"
            )
        return found


def check_parity(
    manifest: ModelManifest, source: SourceModel, options: ExportOptions, torch_backend: Backend
) -> ParityReport:
    """Compare the graphs of a folder with the torch model.

    Raises:
        BackendError: The graphs do not agree with torch; each output that does not is named.
    """
    differences = graph_differences(manifest, torch_backend, options.seed)
    video = load_memory(manifest.directory)
    if video is not None:
        head = two_mask_head(source.model.adapters)
        differences += measure_memory(manifest, video, source.model.base, head, seed=options.seed)
    report = ParityReport(tuple(differences), _end_to_end(manifest), source.random_base)
    failures = report.failures(
        TOLERANCES[options.precision], options.min_mask_iou, options.max_iou_error
    )
    if failures:
        raise BackendError("the graphs do not agree with torch: " + "; ".join(failures))
    return report


def _end_to_end(manifest: ModelManifest) -> Comparison:
    """The reference's frames through the whole chain."""
    with closing(OnnxRuntimeBackend(manifest)) as backend:
        predictor = AmodalPredictor(manifest, backend)
        frames = load_reference(manifest.reference_path)
        return Comparison.of([compare_with_reference(predictor, frame) for frame in frames])
