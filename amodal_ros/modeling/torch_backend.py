# SPDX-License-Identifier: Apache-2.0
"""The torch model behind the predictor's engine interface: what every engine is compared with.

What a prefix hands to its suffix is one tensor, whatever the encoder. Hiera's prefix also gives
the maps of the stages that ended in it, TinyViT's that of its first stage where an adapter of the
mask wants it, at two, four or eight times the resolution. Each block of their cells becomes
channels of the one coarse cell that it covers, so that engines and predictor see a single
``features (B, C, h, w)`` for all members of the family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from amodal_ros.errors import BackendError
from amodal_ros.inference.graph_runner import VISIBLE_LOGITS
from amodal_ros.model_folder.manifest import (
    PRIOR_EXPAND,
    FileSpec,
    GraphSpec,
    ModelManifest,
    TensorSpec,
)
from amodal_ros.modeling.amodal_model import (
    PIXEL_MEAN,
    PIXEL_STD,
    AmodalModel,
    Features,
    ObjectEmbeddings,
)
from amodal_ros.modeling.prompts import Prompts

HIGH_RES = ("high_res_0", "high_res_1")  # names of the finer maps that a decoder takes


@dataclass(frozen=True)
class FeatureLayout:
    """How features lie in the packed tensor.

    Attributes:
        channels: Of each map.
        scales: Side of each map over that of the first.
    """

    channels: tuple[int, ...]
    scales: tuple[int, ...]

    @classmethod
    def of(cls, features: Features) -> FeatureLayout:
        """Read the layout off features ``(B, C_i, h * scale_i, w * scale_i)``."""
        side = features[0].shape[-1]
        return cls(
            tuple(int(f.shape[1]) for f in features),
            tuple(int(f.shape[-1]) // int(side) for f in features),
        )

    def pack(self, features: Features) -> torch.Tensor:
        """Join features to ``(B, sum of C_i * scale_i ** 2, h, w)``."""
        if len(features) == 1:
            return features[0]
        parts = []
        for tensor, k in zip(features, self.scales, strict=True):
            height, width = tensor.shape[-2] // k, tensor.shape[-1] // k
            blocks = tensor.unflatten(3, (width, k)).unflatten(2, (height, k))
            parts.append(blocks.permute(0, 1, 3, 5, 2, 4).flatten(1, 3))
        return torch.cat(parts, dim=1)

    def unpack(self, packed: torch.Tensor) -> Features:
        """Undo :meth:`pack`."""
        if len(self.channels) == 1:
            return (packed,)
        sizes = [c * k * k for c, k in zip(self.channels, self.scales, strict=True)]
        features = []
        for part, c, k in zip(packed.split(sizes, dim=1), self.channels, self.scales, strict=True):
            blocks = part.unflatten(1, (c, k, k)).permute(0, 1, 4, 2, 5, 3)
            features.append(blocks.flatten(4, 5).flatten(2, 3))
        return tuple(features)


def feature_layout(model: AmodalModel) -> FeatureLayout:
    """Find out what a model's prefix gives."""
    size, weights = model.config.image_size, next(model.parameters())
    with torch.inference_mode():
        return FeatureLayout.of(model.prefix(torch.zeros(1, 3, size, size).to(weights)))


Arrays = dict[str, np.ndarray]

_NO_FILE = FileSpec("none", "", 0)  # the graphs are torch modules in memory


class TorchBackend:
    """Runs ``prefix``, ``suffix`` and ``decoder`` in torch, float32, from the official modules."""

    name = "torch float32"

    def __init__(self, model: AmodalModel, layout: FeatureLayout | None = None) -> None:
        """Take a model in evaluation mode and the layout of its features; None: found out."""
        self._model = model
        self._layout = feature_layout(model) if layout is None else layout
        self._device = next(model.parameters()).device

    def run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Run one graph; see the predictor's ``Backend``.

        Raises:
            BackendError: There is no such graph.
        """
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(value)).to(self._device)
            for name, value in inputs.items()
        }
        with torch.inference_mode():
            if graph == "prefix":
                packed = self._layout.pack(self._model.prefix(tensors["image"]))
                return {"features": packed.cpu().numpy()}
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
        return {name: value.expand(len(priors), -1, -1, -1).cpu().numpy() for name, value in maps}

    def _decode(self, tensors: Mapping[str, torch.Tensor]) -> Arrays:
        prompts = Prompts(tensors["point_coords"], tensors["point_labels"])
        count, size = len(prompts), self._model.config.image_size
        maps = [tensors[name] for name in ("embeddings", *HIGH_RES) if name in tensors]
        embeddings, *high_res = (m.expand(count, -1, -1, -1) for m in maps)
        # Of a decoder without adapters neither is asked.
        prior = tensors.get("prior_masks", torch.zeros(1, 1, size, size, device=self._device))
        gain = tensors.get("adapter_gain", torch.zeros(1, device=self._device))
        found = self._model.decode(
            ObjectEmbeddings(
                embeddings,
                tuple(high_res),
                prior.expand(count, -1, -1, -1),
                gain.expand(count),
            ),
            prompts,
        )
        outputs = {
            "low_res_logits": found.low_res_logits.cpu().numpy(),
            "predicted_iou": found.predicted_iou[:, 0].cpu().numpy(),
        }
        if found.visible_logits is not None:
            outputs[VISIBLE_LOGITS] = found.visible_logits.cpu().numpy()
        return outputs

    def manifest(self, name: str, *, roi_factor: float | None = None) -> ModelManifest:
        """Describe the model as a model folder would, so that a predictor runs it.

        Args:
            name: For people.
            roi_factor: With regions of interest, their factor; None: the whole image is encoded.
        """
        config = self._model.config
        size, family = config.image_size, config.family
        rows: int | str = 1 if roi_factor is None else "N"
        image = np.zeros((1, 3, size, size), np.float32)
        prior, gain = np.zeros((1, 1, size, size), np.float32), np.zeros(1, np.float32)
        features = self.run("prefix", {"image": image})["features"]
        given = {"features": features, "prior_masks": prior, "adapter_gain": gain}
        maps = self.run("suffix", given)
        adaptation = [_spec("prior_masks", prior, "N"), _spec("adapter_gain", gain, "N")]
        cells = maps["embeddings"].shape[-1]
        logits = np.zeros((1, 1, 4 * cells, 4 * cells), np.float32)
        masks = ["low_res_logits", *([VISIBLE_LOGITS] if config.visible_output else [])]
        graphs = {
            "prefix": ([_spec("image", image, rows)], [_spec("features", features, rows)]),
            "suffix": (
                [_spec("features", features, rows), *adaptation],
                [_spec(key, value, "N") for key, value in maps.items()],
            ),
            "decoder": (
                [
                    *(_spec(key, value, "E") for key, value in maps.items()),
                    TensorSpec("point_coords", "float32", ("N", "P", 2)),
                    TensorSpec("point_labels", "float32", ("N", "P")),
                    *adaptation,
                ],
                [*(_spec(key, logits, "N") for key in masks), _spec("predicted_iou", gain, "N")],
            ),
        }
        whole = "stretch" if family == "sam2" else "letterbox"
        return ModelManifest(
            directory=Path("."),
            name=name,
            family=family,
            mode="full" if roi_factor is None else "roi",
            geometry=whole if roi_factor is None else "roi",
            image_size=size,
            embedding_size=cells,
            low_res_size=4 * cells,
            mean=PIXEL_MEAN,
            std=PIXEL_STD,
            mask_threshold=0.0,
            prior_expand=PRIOR_EXPAND,
            roi_factor=roi_factor,
            weights_precision="fp32",
            compute_precision="fp32",
            opset=1,
            trained=True,
            graphs={
                graph: GraphSpec(_NO_FILE, tuple(inputs), tuple(outputs))
                for graph, (inputs, outputs) in graphs.items()
            },
            reference=_NO_FILE,
            source={},
            shared_outline=VISIBLE_LOGITS in masks,
        )

    def interrupt(self) -> None:
        """Nothing: torch cannot be stopped."""

    def close(self) -> None:
        """Nothing is held."""


def _spec(name: str, example: np.ndarray, rows: int | str) -> TensorSpec:
    """A tensor like the example, with another number of rows."""
    return TensorSpec(name, str(example.dtype), (rows, *example.shape[1:]))
