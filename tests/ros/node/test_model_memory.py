# SPDX-License-Identifier: Apache-2.0
"""The node and a model with a memory of its own, over real DDS."""

from __future__ import annotations

import numpy as np

from amodal_ros.inference.predictor import AmodalPredictor
from amodal_ros.ros.convert.masks import decode_mask
from tests.ros.ros_rig import boxes_message, image_message
from tests.verification.fake_video import MANIFEST, MEMORY, FakeVideoBackend

BOX, OTHER = (20.0, 30.0, 60.0, 80.0), (100.0, 20.0, 140.0, 70.0)


def test_the_node_follows_by_it_resets_it_and_says_so(make_rig):
    rig = make_rig(activate=False, min_predicted_iou=0.0)
    backend, notes = FakeVideoBackend(), {"model_memory": f"yes: {MEMORY.reach}"}
    rig.make_predictor = lambda parameters: AmodalPredictor(
        MANIFEST, backend, memory=MEMORY, notes=notes
    )
    rig.node.trigger_configure()
    rig.node.trigger_activate()
    rig.wait_connected(rig.camera)
    rgb = np.zeros((120, 160, 3), np.uint8)
    for x0, y0, x1, y1 in (BOX, OTHER):  # bright on dark: the encoder tells them from the rest
        rgb[int(y0) : int(y1), int(x0) : int(x1)] = 255
    (first,) = rig.camera.ask(rgb, [BOX]).masks
    found = rig.camera.ask(rgb, [BOX, OTHER]).masks  # one enters while the other is followed
    assert [mask.track_id for mask in found] == [first.track_id, first.track_id + 1]
    coasting = rig.camera.ask(rgb, []).masks
    assert [mask.coasting for mask in coasting] == [True, True]
    seen = [decode_mask(mask, rgb.shape[:2])[0] for mask in (first, coasting[0])]
    assert seen[0].sum() > 1000
    assert (seen[0] == seen[1]).mean() > 0.99
    model = rig.camera.diagnostics("model", lambda status: True)
    assert model["model_memory"] == "yes: 6 frames, 2 prompted ones, 15 object pointers"
    camera = rig.camera.diagnostics(
        "camera", lambda s: any(v.key == "tracks_in_model_memory" for v in s.values)
    )
    assert camera["tracks_in_model_memory"] == "2"
    decoded = [given for graph, given in backend.calls if graph == "memory_decoder"]
    assert [given["without_memory"].tolist() for given in decoded][-2:] == [[0.0]] * 2

    header = rig.camera.header()  # a bag that loops: time goes back
    header.stamp.sec -= 100
    rig.camera.images.publish(image_message(rgb, header))
    rig.camera.boxes.publish(boxes_message([BOX], header))
    (again,) = rig.camera.wait_answer(header).masks
    assert again.track_id not in {mask.track_id for mask in found}
    last = [given for graph, given in backend.calls if graph == "memory_decoder"][-1]
    assert last["without_memory"].tolist() == [1.0]
