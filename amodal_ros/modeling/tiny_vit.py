# SPDX-License-Identifier: Apache-2.0
"""MobileSAM's TinyViT with adapters, split before the first of them.

The official modules hold the weights; their forward methods bake the batch into a graph (``len``,
``view``) and the neck's input size into the code. The same computation is written here over NHWC
tensors with a free batch, step by step, so that an adapter may sit before any step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mobile_sam.modeling import TinyViT
from mobile_sam.modeling.tiny_vit_sam import Attention, MBConv, PatchMerging, TinyViTBlock
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from amodal_ros.errors import InvalidInputError

NECK = "neck"


class AmodalTinyViT(nn.Module):
    """TinyViT whose features pass an adapter before each of the chosen steps."""

    def __init__(
        self,
        base: TinyViT,
        adapters: dict[str, nn.Module],
        *,
        keeps_high_res: bool = False,
    ) -> None:
        """Insert the adapters.

        Args:
            base: Official encoder; its classifier is dropped.
            adapters: Keyed by the step they sit before (see :func:`step_names`), in any order.
            keeps_high_res: :meth:`prefix` gives the features of the first stage too.

        Raises:
            InvalidInputError: There is no adapter, a step is not known, or an adapter sits before
                the end of the first stage, whose features are to be kept.
        """
        super().__init__()
        base.head, base.norm_head = nn.Identity(), nn.Identity()
        self.base = base
        self.gradient_checkpointing = False  # recompute the suffix in the backward pass
        self._steps = step_names(base)
        places = sorted(adapters, key=lambda name: step_index(self._steps, name))
        if not places:
            raise InvalidInputError("an amodal encoder needs at least one adapter, got none")
        self.adapters = nn.ModuleDict({_key(name): adapters[name] for name in places})
        self._split = step_index(self._steps, places[0])
        self._high_res_step: str | None = None
        if keeps_high_res:
            self._high_res_step = "layers.0.downsample"
            if self._split <= step_index(self._steps, self._high_res_step):
                raise InvalidInputError(
                    "features of the first stage are kept for the decoder: expected adapters "
                    f"after it, got one before {places[0]}"
                )

    def forward(
        self, images: torch.Tensor, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> torch.Tensor:
        """Encode without the cut: ``suffix(prefix(images), prior_masks, gain)``."""
        return self.suffix(self.prefix(images)[0], prior_masks, gain)

    def prefix(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute what all objects of an image share.

        Args:
            images: ``(B, 3, S, S)`` normalised.

        Returns:
            ``(B, C, h, w)``, the features before the first adapter, and, with
            ``keeps_high_res``, those at the end of the first stage, ``(B, 64, S / 4, S / 4)``.
        """
        x, kept = images, []
        for name in self._steps[: self._split]:
            if name == self._high_res_step:
                kept.append(_to_nchw(name, x))
            x = _run_step(self.base, name, x)
        return _to_nchw(self._steps[self._split], x), *kept

    def suffix(
        self, features: torch.Tensor, prior_masks: torch.Tensor, gain: torch.Tensor
    ) -> torch.Tensor:
        """Compute the embeddings of N objects.

        Args:
            features: The first that :meth:`prefix` returned; batch N, or 1 shared by all objects.
            prior_masks: M_spec ``(N, 1, S, S)`` in [0, 1], input frame.
            gain: ``(N,)`` adapter gain; 0 is the base model.

        Returns:
            ``(N, 256, s, s)``.
        """
        first, *others = self._steps[self._split :]
        x = self.adapters[_key(first)](features, prior_masks, gain)
        x = self._run(first, _from_nchw(first, x))
        for name in others:
            if _key(name) in self.adapters:
                x = self.adapters[_key(name)](_to_nchw(name, x), prior_masks, gain)
                x = _from_nchw(name, x)
            x = self._run(name, x)
        return x

    def _run(self, name: str, x: torch.Tensor) -> torch.Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(_run_step, self.base, name, x, use_reentrant=False)
        return _run_step(self.base, name, x)


def step_names(base: TinyViT) -> tuple[str, ...]:
    """Name the steps of the encoder in order; an adapter may sit before each but the first."""
    names = ["patch_embed"]
    for i, layer in enumerate(base.layers):
        names += [f"layers.{i}.blocks.{j}" for j in range(len(layer.blocks))]
        if layer.downsample is not None:
            names.append(f"layers.{i}.downsample")
    return (*names, NECK)


def adapter_steps(base: TinyViT) -> tuple[str, ...]:
    """Name the steps that positions count: the blocks of all stages, then the neck."""
    return tuple(name for name in step_names(base) if ".blocks." in name or name == NECK)


def step_index(steps: Sequence[str], name: str) -> int:
    """Find a step.

    Raises:
        InvalidInputError: There is none of this name, or it is the first.
    """
    if name not in steps[1:]:
        raise InvalidInputError(f"no step {name!r} for an adapter; there are {tuple(steps[1:])}")
    return steps.index(name)


def step_shape(base: TinyViT, name: str) -> tuple[int, int]:
    """Give channels and stride (input pixels per cell) of the features before a step."""
    if name == NECK:
        last = base.layers[-1]
        return last.dim, base.img_size // last.input_resolution[0]
    layer = base.layers[int(name.split(".")[1])]
    return layer.dim, base.img_size // layer.input_resolution[0]


def _key(name: str) -> str:
    return name.replace(".", "_")


def _is_nchw(name: str) -> bool:
    """Whether a step takes NCHW (the convolutional stage) and not NHWC."""
    return name.startswith("layers.0.")


def _to_nchw(name: str, x: torch.Tensor) -> torch.Tensor:
    return x if _is_nchw(name) else x.permute(0, 3, 1, 2)


def _from_nchw(name: str, x: torch.Tensor) -> torch.Tensor:
    return x if _is_nchw(name) else x.permute(0, 2, 3, 1)


def _run_step(base: TinyViT, name: str, x: torch.Tensor) -> torch.Tensor:
    module = base.get_submodule(name)
    if isinstance(module, MBConv):
        return _mbconv(module, x)
    if isinstance(module, PatchMerging):
        return _merge(module, _to_nchw(name, x))
    if isinstance(module, TinyViTBlock):
        return _block(module, x)
    return module(_to_nchw(name, x) if name == NECK else x)


def _mbconv(module: MBConv, x: torch.Tensor) -> torch.Tensor:
    """``MBConv.forward`` without its in-place addition."""
    y = module.act2(module.conv2(module.act1(module.conv1(x))))
    return module.act3(module.drop_path(module.conv3(y)) + x)


def _merge(module: PatchMerging, x: torch.Tensor) -> torch.Tensor:
    """``PatchMerging.forward`` from NCHW to NHWC."""
    x = module.conv2(module.act(module.conv1(x)))
    return module.conv3(module.act(x)).permute(0, 2, 3, 1)


def _block(block: TinyViTBlock, x: torch.Tensor) -> torch.Tensor:
    """``TinyViTBlock.forward`` over ``(N, H, W, C)``."""
    height, width = block.input_resolution
    window = block.window_size
    if height == window and width == window:
        attended = _attend(block.attn, x.flatten(1, 2)).unflatten(1, (height, width))
    else:
        bottom, right = -height % window, -width % window
        rows, columns = (height + bottom) // window, (width + right) // window
        padded = F.pad(x, (0, 0, 0, right, 0, bottom)) if bottom or right else x
        split = padded.unflatten(2, (columns, window)).unflatten(1, (rows, window))
        windows = split.transpose(2, 3).reshape(-1, window * window, block.dim)
        windows = _attend(block.attn, windows)
        whole = windows.reshape(-1, rows, columns, window, window, block.dim).transpose(2, 3)
        whole = whole.reshape(-1, rows * window, columns * window, block.dim)
        attended = whole[:, :height, :width]
    x = x + block.drop_path(attended)
    x = block.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return x + block.drop_path(block.mlp(x))


def _attend(attention: Attention, x: torch.Tensor) -> torch.Tensor:
    """``Attention.forward``; the bias is gathered anew, never from the cache made in ``eval()``.

    Padded cells take part, as they do in the official module.
    """
    qkv = attention.qkv(attention.norm(x)).unflatten(2, (attention.num_heads, -1))
    sizes = [attention.key_dim, attention.key_dim, attention.d]
    q, k, v = (part.transpose(1, 2) for part in qkv.split(sizes, dim=3))
    index = attention.attention_bias_idxs
    bias = attention.attention_biases.index_select(1, index.flatten()).unflatten(1, index.shape)
    weights = ((q @ k.transpose(-2, -1)) * attention.scale + bias).softmax(dim=-1)
    return attention.proj((weights @ v).transpose(1, 2).flatten(2))
