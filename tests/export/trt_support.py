# SPDX-License-Identifier: Apache-2.0
"""A model folder of a few nodes, real enough to have masks, a layer norm and a residual stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from amodal_ros.backends.onnxruntime.backend import OnnxRuntimeBackend
from amodal_ros.files import file_sha256
from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.model_folder.manifest import load_manifest, parse_manifest
from amodal_ros.verification.reference import ReferenceFrame, save_reference
from tests.fakes import manifest_content

SIZE, LOW, CHANNELS = 64, 32, 8
BOXES = np.array([[6, 8, 40, 44], [20, 4, 58, 30]], dtype=np.float32)


def tensor(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def weights(name: str, seed: int, *shape: int) -> TensorProto:
    values = np.random.default_rng(seed).standard_normal(shape) / np.sqrt(shape[-1])
    return numpy_helper.from_array(values.astype(np.float32), name)


def constant(name: str, values: Any, dtype: Any = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def norm_nodes(primitive: bool) -> list[onnx.NodeProto]:
    """A layer norm of `rows` to `normed`, as one node or, as it should not be, written out."""
    node = helper.make_node
    if not primitive:
        return [node("LayerNormalization", ["rows", "ones", "zeros"], ["normed"], axis=-1)]
    return [
        node("ReduceMean", ["rows"], ["mean"], axes=[-1], keepdims=1),
        node("Sub", ["rows", "mean"], ["centred"]),
        node("Mul", ["centred", "centred"], ["squares"]),
        node("ReduceMean", ["squares"], ["variance"], axes=[-1], keepdims=1),
        node("Sqrt", ["variance"], ["deviation"]),
        node("Div", ["centred", "deviation"], ["normed"]),
    ]


def prefix_graph(scale: float, primitive_norm: bool) -> Any:
    """An embedding, scaled by what the norm takes out again, and a block with a residual."""
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "embed"], ["embedded"]),
        node("Mul", ["embedded", "scale"], ["scaled"]),
        node("Transpose", ["scaled"], ["rows"], perm=[0, 2, 3, 1]),
        *norm_nodes(primitive_norm),
        node("MatMul", ["normed", "up"], ["hidden"]),
        node("Relu", ["hidden"], ["active"]),
        node("MatMul", ["active", "down"], ["update"]),
        node("Add", ["normed", "update"], ["sum"]),
        node("Transpose", ["sum"], ["features"], perm=[0, 3, 1, 2]),
    ]
    initializers = [
        weights("embed", 1, CHANNELS, 3, 1, 1),
        constant("scale", scale),
        weights("up", 2, CHANNELS, 2 * CHANNELS),
        weights("down", 3, 2 * CHANNELS, CHANNELS),
    ]
    if not primitive_norm:
        initializers += [
            constant("ones", np.ones(CHANNELS)),
            constant("zeros", np.zeros(CHANNELS)),
        ]
    return helper.make_graph(
        nodes,
        "prefix",
        [tensor("image", 1, 3, SIZE, SIZE)],
        [tensor("features", 1, CHANNELS, SIZE, SIZE)],
        initializers,
    )


def suffix_graph() -> Any:
    node = helper.make_node
    nodes = [
        node("Reshape", ["adapter_gain", "column"], ["gain"]),
        node("Conv", ["prior_masks", "lift"], ["lifted"]),
        node("Mul", ["lifted", "gain"], ["gated"]),
        node("Add", ["features", "gated"], ["joined"]),
        node("Conv", ["joined", "mix"], ["embeddings"]),
    ]
    return helper.make_graph(
        nodes,
        "suffix",
        [
            tensor("features", 1, CHANNELS, SIZE, SIZE),
            tensor("prior_masks", "N", 1, SIZE, SIZE),
            tensor("adapter_gain", "N"),
        ],
        [tensor("embeddings", "N", CHANNELS, SIZE, SIZE)],
        [
            constant("column", [-1, 1, 1, 1], np.int64),
            constant("lift", np.full((CHANNELS, 1, 1, 1), 2.0)),
            constant("mix", np.eye(CHANNELS)[:, :, None, None]),
        ],
    )


def decoder_graph() -> Any:
    """A mask is where the embeddings' mean, pooled, is positive."""
    step = SIZE // LOW
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["embeddings"], ["mean"], axes=[1], keepdims=1),
        node("AveragePool", ["mean"], ["pooled"], kernel_shape=[step] * 2, strides=[step] * 2),
        node("ReduceMean", ["point_coords"], ["coords"], axes=[1, 2], keepdims=1),
        node("Unsqueeze", ["coords", "last"], ["offsets"]),
        node("ReduceMean", ["point_labels"], ["labels"], axes=[1], keepdims=1),
        node("Unsqueeze", ["labels", "two"], ["kinds"]),
        node("Add", ["offsets", "kinds"], ["prompts"]),
        node("Mul", ["prompts", "little"], ["nudge"]),
        node("Add", ["pooled", "nudge"], ["low_res_logits"]),
        node("ReduceMean", ["low_res_logits"], ["mean_logit"], axes=[1, 2, 3], keepdims=0),
        node("Sigmoid", ["mean_logit"], ["predicted_iou"]),
    ]
    return helper.make_graph(
        nodes,
        "decoder",
        [
            tensor("embeddings", "N", CHANNELS, SIZE, SIZE),
            tensor("point_coords", "N", "P", 2),
            tensor("point_labels", "N", "P"),
        ],
        [tensor("low_res_logits", "N", 1, LOW, LOW), tensor("predicted_iou", "N")],
        [
            constant("last", [3], np.int64),
            constant("two", [2, 3], np.int64),
            constant("little", 1e-4),
        ],
    )


def write_model(
    folder: Path,
    *,
    scale: float = 1.0,
    primitive_norm: bool = False,
    random_weights: bool = False,
) -> Path:
    """Writes a model folder.

    Args:
        folder: to write.
        scale: of what goes into the layer norm, which takes it out again: no mask depends on it.
        primitive_norm: write the norm out.
        random_weights: what the manifest says of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graphs = {
        "prefix": prefix_graph(scale, primitive_norm),
        "suffix": suffix_graph(),
        "decoder": decoder_graph(),
    }
    for name, graph in graphs.items():
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(folder / f"{name}.onnx"))
    (folder / "reference.npz").write_bytes(b"\0")
    write_manifest(folder, graphs, random_weights)
    manifest = load_manifest(folder)
    backend = OnnxRuntimeBackend(manifest, intra_op_threads=1)
    save_reference(folder / "reference.npz", [reference(AmodalPredictor(manifest, backend))])
    write_manifest(folder, graphs, random_weights)
    return folder


def picture() -> np.ndarray:
    """Smooth, so that outlines are clear."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    channels = [np.sin(6 * x + 2 * y), np.cos(5 * y), np.sin(4 * x * y + 1)]
    return np.uint8(127 + 120 * np.stack(channels, axis=-1))


def reference(predictor: AmodalPredictor, image: np.ndarray | None = None) -> ReferenceFrame:
    """What the model makes of an image, of `picture` unless another is given."""
    image = picture() if image is None else image
    found = predictor.predict(predictor.encode(image), BOXES)
    priors = np.zeros((len(BOXES), SIZE, SIZE), dtype=bool)
    return ReferenceFrame(
        image, BOXES, priors, found.raw_amodal_masks, found.visible_masks, found.predicted_iou
    )


def write_manifest(folder: Path, graphs: dict[str, Any], random_weights: bool) -> None:
    def entry(name: str) -> dict[str, Any]:
        path = folder / name
        return {"file": name, "sha256": file_sha256(path), "bytes": path.stat().st_size}

    def tensors(infos: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": info.name,
                "dtype": "float32",
                "shape": [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim],
            }
            for info in infos
        ]

    content = {
        **manifest_content(),
        "name": "tiny",
        "family": "sam",
        "image_size": SIZE,
        "embedding_size": SIZE,
        "low_res_size": LOW,
        "mean": [127.0, 127.0, 127.0],
        "std": [60.0, 60.0, 60.0],
        "graphs": {
            name: {
                **entry(f"{name}.onnx"),
                "inputs": tensors(graph.input),
                "outputs": tensors(graph.output),
            }
            for name, graph in graphs.items()
        },
        "reference": entry("reference.npz"),
        "source": {"base": "made up", "random_weights": random_weights},
    }
    parse_manifest(content, folder)
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
