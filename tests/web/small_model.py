# SPDX-License-Identifier: Apache-2.0
"""A model folder for tests of the page: real ONNX graphs that take a millisecond.

They compute what FakeBackend in tests/fakes.py does, of objects with boxes: what lies in the box
is visible, and M_spec is the whole object.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx

from tests.fakes import LOW, SIZE, manifest_content

_OPSET = '<ir_version: 8, opset_import: ["" : 17]>'
_CENTRES = ", ".join(str((index + 0.5) * SIZE / LOW) for index in range(LOW))

PREFIX = f"""{_OPSET}
prefix (float[N,3,{SIZE},{SIZE}] image) => (float[N,1,{SIZE},{SIZE}] features) {{
    features = ReduceMean <axes = [1], keepdims = 1> (image)
}}"""

SUFFIX = f"""{_OPSET}
suffix (float[N,1,{SIZE},{SIZE}] features, float[N,1,{SIZE},{SIZE}] prior_masks,
        float[N] adapter_gain) => (float[N,2,{SIZE},{SIZE}] embeddings) {{
    shape = Constant <value = int64[4] {{-1, 1, 1, 1}}> ()
    gain = Reshape (adapter_gain, shape)
    spec = Mul (prior_masks, gain)
    embeddings = Concat <axis = 1> (features, spec)
}}"""

# The box's corners are the last two points.
DECODER = f"""{_OPSET}
decoder (float[N,2,{SIZE},{SIZE}] embeddings, float[N,P,2] point_coords, float[N,P] point_labels)
        => (float[N,1,{LOW},{LOW}] low_res_logits, float[N] predicted_iou) {{
    x = Constant <value = float[1,1,1,{LOW}] {{{_CENTRES}}}> ()
    y = Constant <value = float[1,1,{LOW},1] {{{_CENTRES}}}> ()
    from = Constant <value = int64[1] {{-2}}> ()
    to = Constant <value = int64[1] {{1000000}}> ()
    axis = Constant <value = int64[1] {{1}}> ()
    corners = Slice (point_coords, from, to, axis)
    shape = Constant <value = int64[5] {{-1, 4, 1, 1, 1}}> ()
    edges = Reshape (corners, shape)
    x0, y0, x1, y1 = Split <axis = 1> (edges)
    row = Constant <value = int64[4] {{-1, 1, 1, 1}}> ()
    left = Reshape (x0, row)
    top = Reshape (y0, row)
    right = Reshape (x1, row)
    bottom = Reshape (y1, row)
    after_left = Sub (x, left)
    before_right = Sub (right, x)
    below_top = Sub (y, top)
    above_bottom = Sub (bottom, y)
    inside = Min (after_left, before_right, below_top, above_bottom)
    low = Constant <value = float {{-2.0}}> ()
    high = Constant <value = float {{2.0}}> ()
    in_box = Clip (inside, low, high)
    second = Constant <value = int64[1] {{1}}> ()
    third = Constant <value = int64[1] {{2}}> ()
    spec = Slice (embeddings, second, third, axis)
    coarse = AveragePool <kernel_shape = [{SIZE // LOW}, {SIZE // LOW}],
                          strides = [{SIZE // LOW}, {SIZE // LOW}]> (spec)
    four = Constant <value = float {{4.0}}> ()
    scaled = Mul (coarse, four)
    in_spec = Add (scaled, low)
    low_res_logits = Max (in_box, in_spec)
    predicted_iou = ReduceMean <axes = [1, 2, 3], keepdims = 0> (spec)
}}"""


def write_small_model(folder: Path) -> None:
    """Writes graphs and manifest into a new folder."""
    folder.mkdir()
    content = manifest_content("roi", "roi")
    for name, text in (("prefix", PREFIX), ("suffix", SUFFIX), ("decoder", DECODER)):
        model = onnx.parser.parse_model(text)
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(data)
        content["graphs"][name] |= {
            "file": f"{name}.onnx",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    (folder / "manifest.json").write_text(json.dumps(content))
