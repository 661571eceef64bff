# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.config import AmodalConfig


def test_survives_json():
    config = AmodalConfig(
        base="sam2.1_hiera_b+", image_size=512, positions=(2, 3), dilated_positions=(3,),
        hidden_dim=None, unfrozen=("memory",), sam2_postprocessing=True,
    )  # fmt: skip
    assert AmodalConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "sam_vit_x"}, "base must be one of sam_vit_b, .*got 'sam_vit_x'"),
        ({"adapter": "lora"}, "adapter must be one of sca, conventional, got 'lora'"),
        ({"place": "neck"}, "place must be one of encoder, decoder, got 'neck'"),
        ({"positions": (3, 3)}, r"without repetition, got \(3, 3\)"),
        ({"positions": (5, 2)}, r"must ascend .*got \(5, 2\)"),
        ({"unfrozen": ("everything",)}, "unfrozen must be one of .*got 'everything'"),
        ({"image_size": 100}, "multiple of 32, got 100"),
        (
            {"positions": (2, 5), "dilated_positions": (3,)},
            r"must be among the positions \(2, 5\), got \(3,\)",
        ),
        (
            {"adapter": "conventional", "positions": (2,), "dilated_positions": (2,)},
            "only an sca can be dilated, got .*'conventional'",
        ),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"hidden_dim": 0}, "hidden_dim must be at least 1, got 0"),
    ],
)
def test_refuses_what_is_not_allowed(options, message):
    with pytest.raises(InvalidInputError, match=message):
        AmodalConfig(**{"base": "sam_vit_b", **options})


def test_refuses_unknown_names():
    with pytest.raises(InvalidInputError, match=r"knows .*got \['base', 'colour'\]"):
        AmodalConfig.from_dict({"base": "sam_vit_b", "colour": "red"})
    with pytest.raises(InvalidInputError, match="needs 'base'"):
        AmodalConfig.from_dict({"image_size": 1024})
