# SPDX-License-Identifier: Apache-2.0
"""The official torch MobileSAM predictor as a contestant: visible masks only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mobile_sam import SamPredictor, sam_model_registry

from amodal_ros.modeling.mobile_sam_base import load_into, load_mobile_sam_state


class OfficialPredictor:
    """``mobile_sam.SamPredictor``: the image set once, then asked for each box by itself."""

    def __init__(self, weights: Path, threads: int, device: str) -> None:
        torch.set_num_threads(threads)
        model = sam_model_registry["vit_t"]()
        load_into(model, load_mobile_sam_state(weights))
        self._predictor = SamPredictor(model.to(device).eval())

    def run(self, image_rgb: np.ndarray, boxes_xyxy: np.ndarray) -> list[np.ndarray]:
        """Masks (H, W) bool of the boxes (N, 4)."""
        with torch.inference_mode():
            self._predictor.set_image(image_rgb)
            found = [self._predictor.predict(box=b, multimask_output=False) for b in boxes_xyxy]
        return [masks[0] for masks, _, _ in found]

    def close(self) -> None:
        """Frees the model."""
        del self._predictor
