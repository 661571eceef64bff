# SPDX-License-Identifier: Apache-2.0
"""``decoder.onnx``: SAM's prompt encoder and mask decoder for N objects, single-mask token.

The computation is that of the official modules, re-associated. In a cross attention between a few
tokens and thousands of image cells, the official code projects every cell; folding each head's
projection into the tokens gives the same scores and sums from matrices of ``heads * tokens``
columns. Transposed convolutions of kernel and stride 2 are matrix products, so cells stay rows
from the input to the logits. Only the mask token that is used is decoded.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from amodal_ros.modeling.prompts import embed_prompts
from export.onnx_graph import Component, Tensor, export_component
from export.prepare import prepare

USED_TOKENS = 2  # predicted IoU, then the single-mask token


class TokenToImage(nn.Module):
    """SAM's attention of T tokens to all image cells, with folded projections.

    A key bias adds the same to all scores of a token, which softmax takes away; a value bias
    passes the weighted mean, whose weights sum to one, unchanged.
    """

    def __init__(self, attention: nn.Module) -> None:
        """Take over the weights of an official ``Attention``."""
        super().__init__()
        self.heads = attention.num_heads
        self.query, self.out = attention.q_proj, attention.out_proj
        width = attention.internal_dim // self.heads
        key = attention.k_proj.weight.detach().reshape(1, self.heads, width, -1)
        value = attention.v_proj.weight.detach().reshape(1, self.heads, width, -1)
        self.register_buffer("key", (key / math.sqrt(width)).contiguous())
        self.register_buffer("value", value.transpose(2, 3).contiguous())
        bias = attention.v_proj.bias.detach().reshape(1, self.heads, 1, width)
        self.register_buffer("value_bias", bias.contiguous())

    def forward(
        self, tokens: torch.Tensor, cells_with_position: torch.Tensor, cells: torch.Tensor
    ) -> torch.Tensor:
        """Attend from ``(N, T, C)`` to ``(N or 1, cells, C)`` -> ``(N, T, C)``."""
        count = tokens.shape[1]
        query = self.query(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
        folded = (query @ self.key).flatten(1, 2)
        weights = (folded @ cells_with_position.transpose(1, 2)).softmax(dim=-1)
        mean = (weights @ cells).unflatten(1, (self.heads, count))
        values = mean @ self.value + self.value_bias
        return self.out(values.transpose(1, 2).flatten(2))


class ImageToToken(nn.Module):
    """SAM's attention of all image cells to T tokens, with folded projections."""

    def __init__(self, attention: nn.Module) -> None:
        """Take over the weights of an official ``Attention``."""
        super().__init__()
        self.heads = attention.num_heads
        self.key, self.value = attention.k_proj, attention.v_proj
        width = attention.internal_dim // self.heads
        scale = 1.0 / math.sqrt(width)
        query = attention.q_proj.weight.detach().reshape(1, self.heads, width, -1)
        bias = attention.q_proj.bias.detach().reshape(1, self.heads, width, 1)
        out = attention.out_proj.weight.detach().T.reshape(1, self.heads, width, -1)
        self.register_buffer("query", (query * scale).contiguous())
        self.register_buffer("query_bias", (bias * scale).contiguous())
        self.register_buffer("out", out.contiguous())
        self.register_buffer("out_bias", attention.out_proj.bias.detach().clone())

    def forward(
        self, cells: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """Attend from ``(N or 1, cells, C)`` to ``(N, T, C)`` -> ``(N, cells, C)``."""
        count = keys.shape[1]
        key = self.key(keys).unflatten(2, (self.heads, -1)).transpose(1, 2)
        folded = (key @ self.query).flatten(1, 2)
        offset = (key @ self.query_bias).flatten(1).unsqueeze(1)
        scores = cells @ folded.transpose(1, 2) + offset
        weights = scores.unflatten(2, (self.heads, count)).softmax(dim=-1).flatten(2)
        value = self.value(values).unflatten(2, (self.heads, -1)).transpose(1, 2)
        return weights @ (value @ self.out).flatten(1, 2) + self.out_bias


class Upscaling(nn.Module):
    """``output_upscaling`` and the product with the mask token, cells as rows.

    Each of the two steps makes 2 x 2 cells of one; only the finished logits are put in order.
    """

    def __init__(self, upscaling: nn.Sequential, side: int) -> None:
        """Take over the weights of ``MaskDecoder.output_upscaling``.

        Args:
            upscaling: Transposed convolution, ``LayerNorm2d``, GELU, transposed convolution, GELU.
            side: Cells per side of the embedding.
        """
        super().__init__()
        first, norm, self.activation, second, _ = upscaling
        self.side = side
        self.norm = nn.LayerNorm(norm.weight.shape[0], eps=float(norm.eps))
        self.norm.weight, self.norm.bias = norm.weight, norm.bias
        self.first, self.second = _as_linear(first), _as_linear(second)

    def forward(self, cells: torch.Tensor, mask_weights: torch.Tensor) -> torch.Tensor:
        """Turn ``(N, cells, C)`` and ``(N, C / 8)`` into logits ``(N, 1, 4 side, 4 side)``."""
        x = self.first(cells).unflatten(2, (4, -1))
        x = self.activation(self.norm(x))
        x = self.activation(self.second(x).unflatten(3, (4, -1))).flatten(1, 3)
        logits = (x @ mask_weights.unsqueeze(2)).squeeze(2)
        side = self.side
        blocks = logits.unflatten(1, (side, side, 2, 2, 2, 2))  # y, x, then two times (dy, dx)
        ordered = blocks.permute(0, 1, 3, 5, 2, 4, 6)
        return ordered.reshape(-1, 1, 4 * side, 4 * side)


def _as_linear(convolution: nn.ConvTranspose2d) -> nn.Linear:
    """Write a transposed convolution of kernel and stride 2 as a product; outputs (dy, dx, c)."""
    weight = convolution.weight.detach().permute(2, 3, 1, 0)
    linear = nn.Linear(weight.shape[3], 4 * weight.shape[2])
    linear.weight = nn.Parameter(weight.reshape(-1, weight.shape[3]).contiguous())
    linear.bias = nn.Parameter(convolution.bias.detach().repeat(4))
    return linear


class DecoderGraph(nn.Module):
    """``embeddings, point_coords, point_labels -> low_res_logits, predicted_iou``."""

    def __init__(self, prompt_encoder: nn.Module, mask_decoder: nn.Module) -> None:
        """Take over the weights of the official modules of ``segment_anything``'s layout."""
        super().__init__()
        transformer = mask_decoder.transformer
        self.prompt_encoder = prompt_encoder
        self.layers = transformer.layers
        self.to_image = nn.ModuleList(
            TokenToImage(layer.cross_attn_token_to_image) for layer in self.layers
        )
        self.to_tokens = nn.ModuleList(
            ImageToToken(layer.cross_attn_image_to_token) for layer in self.layers
        )
        self.last_to_image = TokenToImage(transformer.final_attn_token_to_image)
        self.last_norm = transformer.norm_final_attn
        height, width = prompt_encoder.image_embedding_size
        self.upscaling = Upscaling(mask_decoder.output_upscaling, height)
        self.mask_head = mask_decoder.output_hypernetworks_mlps[0]
        self.iou_head = mask_decoder.iou_prediction_head
        own = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])
        self.register_buffer("own_tokens", own.detach().unsqueeze(0).contiguous())
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres = (torch.stack([columns, rows], dim=-1) + 0.5) / torch.tensor([width, height])
        self.register_buffer("centres", centres.reshape(1, -1, 2).contiguous())

    def forward(
        self, embeddings: torch.Tensor, point_coords: torch.Tensor, point_labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode the single mask of each object."""
        sparse = embed_prompts(self.prompt_encoder, point_coords, point_labels)
        own = self.own_tokens.expand(sparse.shape[0], -1, -1)
        prompts = torch.cat([own, sparse], dim=1)
        position = self.prompt_encoder.pe_layer._pe_encoding(self.centres)
        no_mask = self.prompt_encoder.no_mask_embed.weight.reshape(1, 1, -1)
        cells = embeddings.flatten(2).transpose(1, 2) + no_mask
        tokens, cells, positioned = self._transform(prompts, cells, position)
        asked = (tokens + prompts)[:, :USED_TOKENS]
        attended = self.last_to_image(asked, positioned, cells)
        used = self.last_norm(tokens[:, :USED_TOKENS] + attended)
        logits = self.upscaling(cells, self.mask_head(used[:, 1]))
        return logits, self._predict_iou(used[:, 0])

    def _transform(
        self, prompts: torch.Tensor, cells: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run the layers of ``TwoWayTransformer``; the last result is cells + position."""
        tokens = prompts
        positioned = cells + position
        for layer, to_image, to_tokens in zip(
            self.layers, self.to_image, self.to_tokens, strict=True
        ):
            if layer.skip_first_layer_pe:
                tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
            else:
                asking = tokens + prompts
                tokens = tokens + layer.self_attn(q=asking, k=asking, v=tokens)
            tokens = layer.norm1(tokens)
            tokens = layer.norm2(tokens + to_image(tokens + prompts, positioned, cells))
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            cells = layer.norm4(cells + to_tokens(positioned, tokens + prompts, tokens))
            positioned = cells + position
        return tokens, cells, positioned

    def _predict_iou(self, token: torch.Tensor) -> torch.Tensor:
        """Run the IoU head for the single mask alone: ``(N, C)`` -> ``(N,)``."""
        *hidden, last = self.iou_head.layers
        for layer in hidden:
            token = F.relu(layer(token))
        return F.linear(token, last.weight[:1], last.bias[:1]).squeeze(1)


def export_decoder(prompt_encoder: nn.Module, mask_decoder: nn.Module) -> Component:
    """Export the decoder with free numbers of objects N and of points P.

    Embeddings may have N rows, or one that all objects share.

    Args:
        prompt_encoder: Official ``PromptEncoder`` of ``segment_anything`` or ``mobile_sam``.
        mask_decoder: Its official ``MaskDecoder``, not prepared.
    """
    module = prepare(DecoderGraph(prompt_encoder, mask_decoder))
    height, width = prompt_encoder.image_embedding_size
    channels = prompt_encoder.embed_dim
    examples = (
        torch.zeros(2, channels, height, width),
        torch.ones(2, 3, 2),
        torch.ones(2, 3),
    )
    return export_component(
        "decoder",
        module,
        examples,
        (
            Tensor("embeddings", ("N", channels, height, width)),
            Tensor("point_coords", ("N", "P", 2)),
            Tensor("point_labels", ("N", "P")),
        ),
        (
            Tensor("low_res_logits", ("N", 1, 4 * height, 4 * width)),
            Tensor("predicted_iou", ("N",)),
        ),
        renamed={"embeddings": {0: "E"}},
    )
