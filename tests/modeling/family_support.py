# SPDX-License-Identifier: Apache-2.0
"""Official models with random weights, and small images, for the tests of the model family."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from amodal_ros.modeling.amodal_mobile_sam import AmodalMobileSam
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.amodal_sam import AmodalSam, VitSpec, build_sam
from amodal_ros.modeling.amodal_sam2 import AmodalSam2
from amodal_ros.modeling.config import AmodalConfig
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam

SMALL = 128
NARROW = [
    "++model.image_encoder.trunk.embed_dim=32",
    "++model.image_encoder.neck.backbone_channel_list=[256,128,64,32]",
    "++model.memory_attention.num_layers=2",
]


def randomise(module: nn.Module, seed: int = 0, std: float = 0.03) -> nn.Module:
    """Move every parameter off its initial value, so that none of them is without effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * std)
    return module.train(module.training)  # TinyViT gathers its attention biases here


def random_image(size: int = SMALL, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def box_prior(boxes_xyxy: list[list[int]], size: int = SMALL) -> torch.Tensor:
    prior = torch.zeros(len(boxes_xyxy), 1, size, size)
    for mask, (x0, y0, x1, y1) in zip(prior, boxes_xyxy, strict=True):
        mask[:, y0:y1, x0:x1] = 1.0
    return prior


@contextmanager
def sam2_hydra() -> Any:
    """Hydra as sam2's own builders want it, while the context lasts."""
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    from amodal_ros.modeling.sam2_base import import_sam2

    import_sam2()
    GlobalHydra.instance().clear()
    with initialize_config_module("sam2", version_base="1.2"):
        yield
    GlobalHydra.instance().clear()


def official_sam2(
    member: str,
    size: int,
    *,
    video: bool = False,
    postprocessing: bool = False,
    device: str = "cpu",
    narrow: bool = False,
) -> Any:
    """Build SAM 2 as its users do: with its own builder.

    A narrow one has all blocks of its encoder at a third of their width, and half the layers of
    its memory attention: four times fewer weights, for tests that run it often.
    """
    with sam2_hydra():
        from sam2.build_sam import build_sam2, build_sam2_video_predictor

        build = build_sam2_video_predictor if video else build_sam2
        return build(
            f"configs/{member.partition('_')[0]}/{member}.yaml",
            device=device,
            apply_postprocessing=postprocessing,
            hydra_overrides_extra=[f"++model.image_size={size}", *(NARROW if narrow else [])],
        )


def moving_square_clip(frames: int, size: int = SMALL, seed: int = 0) -> list[np.ndarray]:
    """A textured square on a textured background, moving two pixels a frame."""
    rng = np.random.default_rng(seed)
    background = rng.integers(0, 120, (size, size, 3), dtype=np.uint8)
    square = rng.integers(120, 255, (size // 4, size // 4, 3), dtype=np.uint8)
    clip = []
    for index in range(frames):
        frame = background.copy()
        top, left = size // 4 + index % 8, size // 8 + 2 * index % (size // 2)
        frame[top : top + size // 4, left : left + size // 4] = square
        clip.append(frame)
    return clip


@dataclass(frozen=True)
class Case:
    """A small member of the family beside the official model that holds the same weights."""

    name: str
    build: Callable[..., AmodalModel]
    official: nn.Module

    def embed(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Run the official image encoder: the embedding, then the high-resolution maps."""
        official: Any = self.official
        if self.name.startswith("sam2"):
            s0, s1, embedding = official.forward_image(images)["backbone_fpn"]
            return [embedding, s0, s1]
        if self.name == "mobile_sam":  # whose own forward assumes 64 x 64 cells
            encoder = official.image_encoder
            tokens = encoder.patch_embed(images)
            for layer in encoder.layers:
                tokens = layer(tokens)
            side = images.shape[-1] // 16
            return [encoder.neck(tokens.view(-1, side, side, 320).permute(0, 3, 1, 2))]
        return [official.image_encoder(images)]

    def decode(
        self, maps: list[torch.Tensor], prompt: dict[str, torch.Tensor], multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode one object as the official image predictor does."""
        official: Any = self.official
        box, points = prompt.get("boxes_xyxy"), prompt.get("points")
        if not self.name.startswith("sam2"):
            sparse, dense = official.prompt_encoder(
                points=None if points is None else (points, prompt["point_labels"]),
                boxes=box,
                masks=None,
            )
            return official.mask_decoder(
                image_embeddings=maps[0],
                image_pe=official.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
            )
        coords, labels = [], []
        if box is not None:
            coords.append(box.reshape(1, 2, 2))
            labels.append(torch.tensor([[2, 3]]))
        if points is not None:
            coords.append(points)
            labels.append(prompt["point_labels"])
        sparse, dense = official.sam_prompt_encoder(
            points=(torch.cat(coords, 1), torch.cat(labels, 1)), boxes=None, masks=None
        )
        masks, iou, _, _ = official.sam_mask_decoder(
            image_embeddings=maps[0] + official.no_mem_embed.view(1, -1, 1, 1),
            image_pe=official.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            repeat_image=False,
            high_res_features=maps[1:],
        )
        return masks, iou


TINY_VIT = VitSpec(embed_dim=48, depth=6, num_heads=2, global_blocks=(1, 2, 3, 5))


def make_case(name: str) -> Case:
    """Build a case; ViT and Hiera are narrow ones, TinyViT has its true width and depth.

    All models of a case share one base, which is a copy of the official model: models never
    change it, and a test asserts that.
    """
    torch.manual_seed(0)
    if name == "sam_vit_b":
        official = randomise(build_sam(TINY_VIT, SMALL))
    elif name == "mobile_sam":
        official = randomise(build_mobile_sam(SMALL), std=0.01)
    else:
        official = randomise(official_sam2(name, SMALL, narrow=True))
    base = copy.deepcopy(official)

    def build(**options: Any) -> AmodalModel:
        config = AmodalConfig(base=name, image_size=SMALL, **options)
        if name == "sam_vit_b":
            return AmodalSam(config, base, TINY_VIT.default_positions()).eval()
        member = AmodalMobileSam if name == "mobile_sam" else AmodalSam2
        return member(config, base).eval()

    return Case(name, build, official)


def activate(model: AmodalModel, seed: int = 1, std: float = 0.05) -> AmodalModel:
    """Give the adapters weights as after training: no longer zero at their output."""
    randomise(model.adapters, seed, std)
    return model
