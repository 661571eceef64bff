# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from tests.modeling.family_support import activate, box_prior, make_case, random_image


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
    together = model(
        images,
        torch.cat(priors),
        model.build_prompts(boxes_xyxy=torch.cat(boxes)),
        image_index=torch.tensor([0, 0, 2]),
    )
    first, last = together.low_res_logits.split([2, 1])
    for image, group, prior, logits in (
        (0, boxes[0], priors[0], first),
        (2, boxes[1], priors[1], last),
    ):
        alone = model(images[image : image + 1], prior, model.build_prompts(boxes_xyxy=group))
        torch.testing.assert_close(logits, alone.low_res_logits, rtol=0, atol=1e-5)
