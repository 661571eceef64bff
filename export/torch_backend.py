# SPDX-License-Identifier: Apache-2.0
"""The torch model behind the predictor's engine interface: what every engine is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from amodal_ros.errors import BackendError
from amodal_ros.modeling.amodal_model import AmodalModel
from amodal_ros.modeling.prompts import Prompts
from amodal_ros.modeling.sam_decoder import decode_masks


class TorchBackend:
    """Runs ``prefix``, ``suffix`` and ``decoder`` in torch, float32, from the official modules."""

    name = "torch float32"

    def __init__(self, model: AmodalModel) -> None:
        """Take a model in evaluation mode."""
        self._model: Any = model

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one graph; see the predictor's ``Backend``.

        Raises:
            BackendError: There is no such graph.
        """
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.inference_mode():
            if graph == "prefix":
                (features,) = self._model.prefix(tensors["image"])
                return {"features": features.numpy()}
            if graph == "suffix":
                found = self._model.suffix(
                    (tensors["features"],), tensors["prior_masks"], tensors["adapter_gain"]
                )
                return {"embeddings": found.embeddings.numpy()}
            if graph == "decoder":
                return self._decode(tensors)
        raise BackendError(f"expected prefix, suffix or decoder, got {graph!r}")

    def _decode(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
        prompts = Prompts(tensors["point_coords"], tensors["point_labels"])
        base = self._model.base
        embeddings = tensors["embeddings"].expand(len(prompts), -1, -1, -1)
        logits, iou = decode_masks(base.prompt_encoder, base.mask_decoder, embeddings, prompts)
        return {"low_res_logits": logits.numpy(), "predicted_iou": iou[:, 0].numpy()}

    def close(self) -> None:
        """Nothing is held."""
