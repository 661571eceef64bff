# SPDX-License-Identifier: Apache-2.0
"""Adapters between an older and a newer model.

A short run at a low rate moves the adapters along a straight way on which the models between its
ends work too (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022): they keep more of
what the older one knows, and have some of what the newer one learnt.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from amodal_ros.errors import CheckpointError
from amodal_ros.files import whole_file
from amodal_ros.modeling.checkpoint import read_tensors


def write_between(older: Path, newer: Path, share: float, out: Path) -> None:
    """Write the adapters at a share of the way from the older to the newer ones.

    Args:
        older: checkpoint, `*.safetensors`.
        newer: likewise, trained from it.
        share: 0 gives the older, 1 the newer.
        out: file to write; its header is the newer one's, and says the share.

    Raises:
        CheckpointError: the two do not hold the same tensors.
    """
    first, second = read_tensors(older), read_tensors(newer)
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())[:3]
        raise CheckpointError(f"{newer}: expected the tensors of {older}, differs in {odd}")
    mixed = {
        name: ((1 - share) * first[name].float() + share * tensor.float())
        .to(tensor.dtype)
        .contiguous()
        for name, tensor in second.items()
    }
    with safe_open(str(newer), framework="pt") as file:
        header = dict(file.metadata() or {})
    training = {**json.loads(header["training"]), "share_of_the_way": share}
    header["training"] = json.dumps(training, sort_keys=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(out) as unfinished:
        save_file(mixed, unfinished, metadata=header)
