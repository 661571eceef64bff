# SPDX-License-Identifier: Apache-2.0
"""Makes `golden_mobile_sam.json`: ``python -m tests.model_folder.golden_mobile_sam BASE_WEIGHTS``.

The masks of objects in photos by the official `mobile_sam` modules alone (torch, float32,
single-mask token): what the shipped model must give with gain 0. A region is cut out and
enlarged with Pillow, the official layers run one after the other (their own ``forward_features``
knows 1024 pixels only), and official code carries the mask back. Nothing of ours takes part but
reading the weights and the manifest's two numbers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from skimage import data

from amodal_ros.model_folder.manifest import default_model_dir, load_manifest
from amodal_ros.modeling.base_weights import read_base_weights
from amodal_ros.modeling.mobile_sam_base import build_mobile_sam, load_into

FILE = Path(__file__).parent / "golden_mobile_sam.json"


def main(base_weights: str) -> None:
    """Write the file anew, for the photos and boxes that are in it."""
    manifest = load_manifest(default_model_dir())
    if manifest.mode != "roi" or manifest.roi_factor is None:
        raise SystemExit(f"this makes regions of interest, the model has mode {manifest.mode}")
    sam = build_mobile_sam(manifest.image_size)
    load_into(sam, read_base_weights(base_weights).state)
    sam.eval()
    entries = json.loads(FILE.read_text())
    for entry in entries:
        photo = getattr(data, entry["photo"])()
        for item in entry["objects"]:
            mask = visible_mask(sam, photo, item["box_xyxy"], manifest.roi_factor)
            rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            item["mask"] = {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
    FILE.write_text(json.dumps(entries, indent=1) + "\n")


@torch.no_grad()
def visible_mask(sam: Any, photo: np.ndarray, box: list[float], factor: float) -> np.ndarray:
    """(H, W) bool."""
    size = sam.image_encoder.img_size
    x0, y0, x1, y1 = box
    half = factor * max(x1 - x0, y1 - y0) / 2
    left, top = int(np.floor((x0 + x1) / 2 - half)), int(np.floor((y0 + y1) / 2 - half))
    right = int(np.ceil((x0 + x1) / 2 + half))
    side = max(right - left, int(np.ceil((y0 + y1) / 2 + half)) - top)
    region = (left, top, left + side, top + side)
    canvas = np.pad(photo, ((side, side), (side, side), (0, 0)), mode="edge")
    crop = canvas[top + side : top + 2 * side, left + side : left + 2 * side]
    pixels = np.array(Image.fromarray(crop).resize((size, size), Image.Resampling.BILINEAR))
    image = (torch.tensor(pixels).permute(2, 0, 1)[None] - sam.pixel_mean) / sam.pixel_std
    scale, (height, width) = size / side, photo.shape[:2]
    centres = (np.arange(size) + 0.5) / scale
    image[..., (centres + left < 0) | (centres + left > width)] = 0
    image[:, :, (centres + top < 0) | (centres + top > height), :] = 0
    corners = (torch.tensor(box).reshape(1, 2, 2) - torch.tensor(region[:2])) * scale
    sparse, dense = sam.prompt_encoder(points=None, boxes=corners.reshape(1, 4), masks=None)
    logits, _ = sam.mask_decoder(
        image_embeddings=encode(sam.image_encoder, image),
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    whole = torch.nn.functional.interpolate(
        logits, (side, side), mode="bilinear", align_corners=False
    )
    canvas_mask = np.zeros((height + 2 * side, width + 2 * side), dtype=bool)
    canvas_mask[top + side : top + 2 * side, left + side : left + 2 * side] = whole[0, 0] > 0
    return canvas_mask[side : side + height, side : side + width]


def encode(encoder: Any, image: torch.Tensor) -> torch.Tensor:
    """The official encoder's layers, at any input size."""
    tokens = encoder.patch_embed(image)
    for layer in encoder.layers:
        tokens = layer(tokens)
    side = image.shape[-1] // 16
    return encoder.neck(tokens.view(1, side, side, -1).permute(0, 3, 1, 2))


if __name__ == "__main__":
    main(sys.argv[1])
