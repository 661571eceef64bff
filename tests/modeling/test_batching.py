# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from amodal_ros.errors import InvalidInputError
from amodal_ros.modeling.prompts import (
    Prompts,
    concatenate_prompts,
    index_of_images,
    split_by_image,
)
from tests.modeling.family_support import activate, box_prior, make_case, random_image


def test_index_of_images_and_back():
    counts = [2, 0, 3]
    index = index_of_images(counts)
    assert index.tolist() == [0, 0, 2, 2, 2]
    parts = split_by_image(torch.arange(5), counts)
    assert [part.tolist() for part in parts] == [[0, 1], [], [2, 3, 4]]


def test_prompts_of_unequal_length_are_padded():
    one = Prompts(torch.ones(2, 1, 2), torch.ones(2, 1))
    two = Prompts(torch.full((1, 3, 2), 5.0), torch.tensor([[2.0, 3.0, 0.0]]))
    joined = concatenate_prompts([one, two])
    assert joined.coords.shape == (3, 3, 2)
    assert joined.labels.tolist() == [[1, -1, -1], [1, -1, -1], [2, 3, 0]]
    assert joined.coords[2].eq(5.0).all()
    with pytest.raises(InvalidInputError, match="got none"):
        concatenate_prompts([])


@torch.no_grad()
def test_a_batch_of_images_with_different_numbers_of_objects():
    """As a training batch: two objects, none, and one; each as if it were alone."""
    model = activate(make_case("sam_vit_b").build())
    images = random_image(batch=3)
    boxes = [
        torch.tensor([[10.0, 10, 60, 70], [30, 20, 90, 100]]),
        torch.tensor([[5.0, 50, 70, 99]]),
    ]
    priors = [box_prior([[int(v) for v in box] for box in group.tolist()]) for group in boxes]
    counts = [2, 0, 1]
    together = model(
        images,
        torch.cat(priors),
        concatenate_prompts([model.build_prompts(boxes_xyxy=group) for group in boxes]),
        image_index=index_of_images(counts),
    )
    first, none, last = split_by_image(together.low_res_logits, counts)
    assert none.shape == (0, 1, 32, 32)
    for image, group, prior, logits in (
        (0, boxes[0], priors[0], first),
        (2, boxes[1], priors[1], last),
    ):
        alone = model(images[image : image + 1], prior, model.build_prompts(boxes_xyxy=group))
        torch.testing.assert_close(logits, alone.low_res_logits, rtol=0, atol=1e-5)
