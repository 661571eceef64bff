# SPDX-License-Identifier: Apache-2.0
"""The torch model behind the predictor's engine interface: what every engine is compared with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from amodal_ros.errors import BackendError
from amodal_ros.modeling.amodal_model import AmodalModel, ObjectEmbeddings
from amodal_ros.modeling.prompts import Prompts
from export.graphs.components.suffix import HIGH_RES
from export.graphs.packing import FeatureLayout

Arrays = dict[str, np.ndarray]


class TorchBackend:
    """Runs ``prefix``, ``suffix`` and ``decoder`` in torch, float32, from the official modules."""

    name = "torch float32"

    def __init__(self, model: AmodalModel, layout: FeatureLayout) -> None:
        """Take a model in evaluation mode and the layout of its features."""
        self._model = model
        self._layout = layout

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Run one graph; see the predictor's ``Backend``.

        Raises:
            BackendError: There is no such graph.
        """
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.inference_mode():
            if graph == "prefix":
                packed = self._layout.pack(self._model.prefix(tensors["image"]))
                return {"features": packed.numpy()}
            if graph == "suffix":
                return self._suffix(tensors)
            if graph == "decoder":
                return self._decode(tensors)
        raise BackendError(f"expected prefix, suffix or decoder, got {graph!r}")

    def _suffix(self, tensors: Mapping[str, torch.Tensor]) -> Arrays:
        priors = tensors["prior_masks"]
        features = self._layout.unpack(tensors["features"])
        found = self._model.suffix(features, priors, tensors["adapter_gain"])
        maps = zip(("embeddings", *HIGH_RES), (found.embeddings, *found.high_res), strict=False)
        return {name: value.expand(len(priors), -1, -1, -1).numpy() for name, value in maps}

    def _decode(self, tensors: Mapping[str, torch.Tensor]) -> Arrays:
        prompts = Prompts(tensors["point_coords"], tensors["point_labels"])
        count, size = len(prompts), self._model.config.image_size
        maps = [tensors[name] for name in ("embeddings", *HIGH_RES) if name in tensors]
        embeddings, *high_res = (m.expand(count, -1, -1, -1) for m in maps)
        # Of a decoder without adapters neither is asked.
        prior = tensors.get("prior_masks", torch.zeros(1, 1, size, size))
        gain = tensors.get("adapter_gain", torch.zeros(1))
        found = self._model.decode(
            ObjectEmbeddings(
                embeddings,
                tuple(high_res),
                prior.expand(count, -1, -1, -1),
                gain.expand(count),
            ),
            prompts,
        )
        return {
            "low_res_logits": found.low_res_logits.numpy(),
            "predicted_iou": found.predicted_iou[:, 0].numpy(),
        }

    def interrupt(self) -> None:
        """Nothing: torch cannot be stopped."""

    def close(self) -> None:
        """Nothing is held."""
