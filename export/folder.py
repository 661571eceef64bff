# SPDX-License-Identifier: Apache-2.0
"""A model folder: its graphs, their manifest, a reference; complete in its place, or not there.

The reference holds scenes with occlusion, and their masks in fp32. One scene is drawn. Of a
trained model there are frames of the demo clip too, whose true masks are known: an engine must not
be less true than fp32.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import amodal_ros
from amodal_ros.backends.base import Backend
from amodal_ros.files import file_sha256, replace_folder, write_text
from amodal_ros.image.masks import mask_areas, mask_boxes
from amodal_ros.image.rle import decode_rle
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import (
    MANIFEST_NAME,
    PRIOR_EXPAND,
    SCHEMA_VERSION,
    ModelManifest,
    load_manifest,
    parse_manifest,
)
from amodal_ros.model_folder.memory import MEMORY_NAME
from amodal_ros.model_folder.memory import SCHEMA_VERSION as MEMORY_SCHEMA_VERSION
from amodal_ros.modeling.amodal_model import PIXEL_MEAN, PIXEL_STD
from amodal_ros.modeling.torch_backend import TorchBackend
from amodal_ros.verification.reference import ReferenceFrame, save_reference
from export.graphs.files import DATA_SUFFIX, check_data, data_path, save_graph
from export.graphs.onnx_graph import OPSET, Component, Tensor
from export.options import ExportOptions, check_replaceable
from export.source import SourceModel

SCENE_HW = (180, 240)
CLIP = Path(amodal_ros.__file__).parent / "demo_clip"
CLIP_FRAMES = (12, 36)
CLIP_SIZE = (256, 192)  # width and height
LEAST_VISIBLE = 0.15  # of an object's area


def draw_scene() -> tuple[np.ndarray, np.ndarray]:
    """Draw a table with a plate, a ball behind a box, and a bottle.

    Returns:
        The image ``(180, 240, 3)`` uint8 and the visible boxes ``(4, 4)`` float32.
    """
    height, width = SCENE_HW
    rows = np.linspace(0.0, 1.0, height)[:, None, None]
    wall, table = np.array([200, 205, 214]), np.array([150, 118, 86])
    image = np.where(rows < 0.4, wall - 30 * rows, table + 30 * rows)
    image = np.ascontiguousarray(np.broadcast_to(image, (height, width, 3)).astype(np.uint8))
    cv2.ellipse(image, (60, 130), (46, 22), 0, 0, 360, (232, 232, 236), -1)
    cv2.ellipse(image, (60, 129), (30, 13), 0, 0, 360, (212, 212, 220), -1)
    cv2.circle(image, (140, 96), 34, (196, 62, 54), -1)
    cv2.circle(image, (130, 84), 9, (226, 128, 118), -1)
    cv2.rectangle(image, (150, 84), (206, 150), (58, 92, 150), -1)
    cv2.rectangle(image, (150, 84), (206, 98), (84, 124, 186), -1)
    cv2.rectangle(image, (30, 58), (50, 118), (52, 120, 72), -1)
    cv2.rectangle(image, (36, 38), (44, 60), (60, 138, 84), -1)
    boxes = [[14, 108, 107, 153], [106, 62, 174, 131], [150, 84, 207, 151], [30, 38, 51, 119]]
    return cv2.GaussianBlur(image, (3, 3), 0.8), np.array(boxes, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame of the demo clip, reduced to what a model folder can carry.

    Attributes:
        image_rgb: ``(192, 256, 3)`` uint8, 32 levels of each colour.
        boxes_xyxy: ``(N, 4)`` float32, of what is visible.
        true_amodal: ``(N, 192, 256)`` bool.
        true_visible: Likewise.
    """

    image_rgb: np.ndarray
    boxes_xyxy: np.ndarray
    true_amodal: np.ndarray
    true_visible: np.ndarray


def labelled_frames() -> list[LabelledFrame]:
    """Read the frames of the demo clip that go into a reference.

    Objects that are nearly hidden are left out: what a model says of them is a guess.
    """
    content = json.loads((CLIP / "annotations.json").read_text(encoding="utf-8"))
    ids = {image["frame"]: image["id"] for image in content["images"]}
    with av.open(str(CLIP / "clip.mp4")) as clip:
        pictures = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    found = []
    for number in CLIP_FRAMES:
        objects = [one for one in content["annotations"] if one["image_id"] == ids[number]]
        masks = [
            [_reduced_mask(decode_rle(one[name])) for one in objects]
            for name in ("segmentation", "visible_mask")
        ]
        amodal, visible = np.array(masks[0]), np.array(masks[1])
        seen = mask_areas(visible) >= LEAST_VISIBLE * mask_areas(amodal)
        image = cv2.resize(pictures[number], CLIP_SIZE, interpolation=cv2.INTER_AREA)
        boxes = mask_boxes(visible[seen]).astype(np.float32)
        found.append(LabelledFrame(image & np.uint8(0xF8), boxes, amodal[seen], visible[seen]))
    return found


def _reduced_mask(mask: np.ndarray) -> np.ndarray:
    """Where at least half of a cell is in the mask."""
    share = cv2.resize(mask.astype(np.float32), CLIP_SIZE, interpolation=cv2.INTER_AREA)
    return np.asarray(share >= 0.5)


def make_reference(manifest: ModelManifest, backend: Backend) -> tuple[ReferenceFrame, ...]:
    """Run the scenes through the predictor with the torch model as its engine."""
    predictor = AmodalPredictor(manifest, backend)
    image, boxes = draw_scene()
    priors = np.zeros((len(boxes), *SCENE_HW), dtype=bool)
    priors[1, 58:136, 100:180] = True  # a coarse region, as a track gives; the others: their box
    frames = [_frame(predictor, image, boxes, priors)]
    # Masks of random weights have nothing to do with the truth.
    known = manifest.trained and manifest.source.get("random_weights") is not True
    for labelled in labelled_frames() if known else []:
        priors = np.zeros(labelled.true_amodal.shape, dtype=bool)
        frame = _frame(predictor, labelled.image_rgb, labelled.boxes_xyxy, priors)
        frames.append(
            replace(frame, true_amodal=labelled.true_amodal, true_visible=labelled.true_visible)
        )
    return tuple(frames)


def _frame(
    predictor: AmodalPredictor, image: np.ndarray, boxes: np.ndarray, priors: np.ndarray
) -> ReferenceFrame:
    given = [mask if mask.any() else None for mask in priors]
    found = predictor.predict(predictor.encode(image), boxes, given)
    return ReferenceFrame(
        image, boxes, priors, found.raw_amodal_masks, found.visible_masks, found.predicted_iou
    )


REFERENCE_FILE = "reference.npz"
REPLACED = (".onnx", ".npz", ".json", DATA_SUFFIX)  # what an export writes
EMBEDDING_STRIDE = 16  # input pixels per cell of the embeddings, of all members
# Takes the reference's place in the manifest until it has been computed, for which the manifest of
# the graphs is needed.
_NO_REFERENCE = {"file": REFERENCE_FILE, "sha256": "0" * 64, "bytes": 1}


def write_graphs(folder: Path, components: Sequence[Component]) -> dict[str, dict[str, Any]]:
    """Write each graph as ``NAME.onnx`` and describe it, as a manifest does."""
    entries = {}
    for component in components:
        path = folder / f"{component.name}.onnx"
        save_graph(component.model, path)
        check_data(path)
        data = data_path(path)
        entries[component.name] = graph_entry(path, component, data if data.is_file() else None)
    return entries


def write_manifest(
    folder: Path,
    graphs: Mapping[str, Any],
    source: SourceModel,
    options: ExportOptions,
    backend: TorchBackend,
    *,
    name: str = MANIFEST_NAME,
    reference_file: str = REFERENCE_FILE,
) -> ModelManifest:
    """Compute the reference, write it and the manifest, and read the folder as a user does."""
    content = manifest_content(graphs, source, options)
    reference = make_reference(parse_manifest(content, folder, name), backend)
    save_reference(folder / reference_file, reference)
    content["reference"] = _file_entry(folder / reference_file)
    write_text(folder / name, json.dumps(content, indent=2) + "\n")
    return load_manifest(folder, name)


def write_memory(folder: Path, graphs: Mapping[str, Any], base: Any) -> None:
    """Write ``memory.json`` of a SAM 2: its video graphs, and what a caller keeps how long."""
    content = {
        "schema_version": MEMORY_SCHEMA_VERSION,
        "num_maskmem": int(base.num_maskmem),
        "memory_stride": int(base.memory_temporal_stride_for_eval),
        "max_object_pointers": int(base.max_obj_ptrs_in_encoder),
        "max_conditioning_frames": int(base.max_cond_frames_in_attn),
        "multimask_points": [int(base.multimask_min_pt_num), int(base.multimask_max_pt_num)],
        "graphs": dict(graphs),
    }
    write_text(folder / MEMORY_NAME, json.dumps(content, indent=2) + "\n")


def publish(finished: Path, out: Path) -> None:
    """Put a finished folder in its place in one step.

    Files of the old folder that are none of ours (licences, notes) are kept.

    Raises:
        InvalidInputError: ``out`` exists and is no model folder.
    """
    if out.exists():
        check_replaceable(out)
        ours = {path.name for path in finished.iterdir()}
        for path in out.iterdir():
            if path.name not in ours and path.suffix not in REPLACED:
                shutil.copy2(path, finished / path.name)
    replace_folder(finished, out)


def manifest_content(
    graphs: Mapping[str, Any], source: SourceModel, options: ExportOptions
) -> dict[str, Any]:
    """What ``manifest.json`` holds of a model; the reference's place is not filled yet."""
    config = source.model.config
    cells = config.image_size // EMBEDDING_STRIDE
    return {
        "schema_version": SCHEMA_VERSION,
        "name": options.name or f"amodal_{config.base.replace('mobile_sam', 'mobilesam')}",
        "family": source.family,
        "mode": options.mode,
        "geometry": _geometry(source.family, options.mode),
        "image_size": config.image_size,
        "embedding_size": cells,
        "low_res_size": 4 * cells,
        "mean": list(PIXEL_MEAN),
        "std": list(PIXEL_STD),
        "mask_threshold": 0.0,
        **({"shared_outline": True} if config.visible_output else {}),
        "prior_expand": PRIOR_EXPAND,
        **({"roi_factor": options.roi_factor} if options.mode == "roi" else {}),
        "weights_precision": options.precision,
        "compute_precision": "fp32",
        "opset": OPSET,
        "trained": source.trained,
        "graphs": dict(graphs),
        "reference": _NO_REFERENCE,
        "source": dict(source.source),
    }


def _geometry(family: str, mode: str) -> str:
    """How an image lies in the input."""
    if mode == "roi":
        return "roi"
    return "stretch" if family == "sam2" else "letterbox"


def graph_entry(path: Path, component: Component, data: Path | None) -> dict[str, Any]:
    """Describe a graph's file, as a manifest does.

    Args:
        path: The file.
        component: The graph.
        data: File that holds its weights; None: its own does.
    """
    return {
        **_file_entry(path),
        **({} if data is None else {"data": _file_entry(data)}),
        "inputs": [_tensor_entry(tensor) for tensor in component.inputs],
        "outputs": [_tensor_entry(tensor) for tensor in component.outputs],
    }


def _file_entry(path: Path) -> dict[str, Any]:
    return {"file": path.name, "sha256": file_sha256(path), "bytes": path.stat().st_size}


def _tensor_entry(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": "float32", "shape": list(tensor.shape)}
