# SPDX-License-Identifier: Apache-2.0
"""One still or one clip, from its seed alone: the same on any machine and with any workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.tabletop.cameraman import Cameraman, Picture, View
from benchmarks.tabletop.catalog import FrameRecord, Shot
from benchmarks.tabletop.stage import TIME_STEP_S, Stage, build_stage
from training.rendering.mujoco_beside_torch import mujoco

HW = (480, 640)
FRAME_RATE_HZ = 12.0
MIN_VISIBLE_PX = 40
MIN_HIDDEN_PX = 10  # fewer are the outline's rasterisation, not an occlusion


def render_shot(shot: Shot) -> list[FrameRecord]:
    """Render a shot and write its pictures."""
    rng = np.random.default_rng([shot.seed, 0 if shot.kind == "still" else 1, shot.number])
    stage = build_stage(shot.assets, shot.objects, rng, HW)
    view = view_of(stage, rng)
    records = []
    with Cameraman(stage, HW) as cameraman:
        for frame, moment in enumerate(_moments(stage, view, shot.frames, rng)):
            name = f"images/still_{shot.number:05d}.png"
            if shot.kind == "clip":
                name = f"images/clip_{shot.number:03d}_{frame:03d}.png"
            picture = cameraman.shoot(moment)
            Image.fromarray(picture.image).save(shot.out / name)
            records.append(record(stage, picture, name, frame, keep_hidden=shot.kind == "clip"))
    return records


def record(
    stage: Stage, picture: Picture, name: str, frame: int, keep_hidden: bool
) -> FrameRecord:
    """Keep the objects that are wholly in the picture and, in stills, can be prompted."""
    objects: list[tuple[int, str, NDArray[np.bool_], NDArray[np.bool_]]] = []
    left_out = {"outside": 0, "cut by the border": 0, "hidden": 0}
    for number, item in enumerate(stage.objects):
        amodal, visible = picture.amodal[number], picture.visible[number]
        if np.count_nonzero(amodal & ~visible) < MIN_HIDDEN_PX:
            amodal = visible
        if not amodal.any():
            left_out["outside"] += 1
        elif touches_border(amodal):
            left_out["cut by the border"] += 1
        elif not keep_hidden and np.count_nonzero(visible) < MIN_VISIBLE_PX:
            left_out["hidden"] += 1
        else:
            objects.append((number, item.name, amodal, visible))
    return FrameRecord(name, HW, frame, tuple(objects), left_out)


def touches_border(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask (H, W) reaches the picture's border."""
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return any(bool(edge.any()) for edge in edges)


def view_of(stage: Stage, rng: np.random.Generator) -> View:
    """A camera somewhere round the objects, looking down at them."""
    lookat = stage.centre + rng.normal(0, 0.02, size=3)
    return View(
        lookat=(float(lookat[0]), float(lookat[1]), float(lookat[2])),
        distance=float(rng.uniform(0.65, 1.05)),
        azimuth=float(rng.uniform(0, 360)),
        elevation=float(rng.uniform(-48, -15)),
        fovy=float(rng.uniform(38, 48)),
    )


def _moments(stage: Stage, view: View, frames: int, rng: np.random.Generator) -> Iterator[View]:
    """The camera at each frame; the stage is advanced in between."""
    if frames == 1:
        yield view
        return
    turn, tilt = rng.choice([-1, 1]) * rng.uniform(12, 40), rng.uniform(-8, 8)
    approach = rng.uniform(0.9, 1.1)
    pushes = _pushes(stage, rng)
    steps = round(1 / (FRAME_RATE_HZ * TIME_STEP_S))
    for frame in range(frames):
        if frame > 0:
            for _ in range(steps):
                _push(stage, pushes)
                mujoco.mj_step(stage.model, stage.data)
        share = (1 - np.cos(np.pi * frame / (frames - 1))) / 2
        yield replace(
            view,
            azimuth=view.azimuth + float(turn * (share - 0.5)),
            elevation=float(np.clip(view.elevation + tilt * (share - 0.5), -55, -12)),
            distance=view.distance * float(approach**share),
        )


@dataclass(frozen=True, eq=False)
class _Push:
    """An object that slides through the group as if a hand moved it.

    Attributes:
        body: its id.
        velocity: (3,) m/s.
        orientation: (4,) quaternion it keeps.
    """

    body: int
    velocity: NDArray[np.float64]
    orientation: NDArray[np.float64]


def _pushes(stage: Stage, rng: np.random.Generator) -> list[_Push]:
    """One to three objects, each towards the middle of the group and past it."""
    count = min(int(rng.integers(1, 4)), len(stage.objects))
    pushes = []
    for number in rng.choice(len(stage.objects), size=count, replace=False):
        body = int(stage.body_ids[number])
        towards = stage.centre[:2] + rng.normal(0, 0.05, size=2) - stage.data.xpos[body][:2]
        direction = towards / max(float(np.linalg.norm(towards)), 1e-3)
        velocity = np.array([*direction, 0.0]) * rng.uniform(0.08, 0.2)
        pushes.append(_Push(body, velocity, stage.data.xquat[body].copy()))
    return pushes


def _push(stage: Stage, pushes: list[_Push]) -> None:
    """Carry half an object's weight, bring it to its velocity, and keep it from tilting."""
    model, data = stage.model, stage.data
    for push in pushes:
        body = push.body
        mass = float(model.body_subtreemass[body])
        motion, turn, turn_world = np.zeros(6), np.zeros(3), np.zeros(3)
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_BODY, body, motion, 0)
        mujoco.mju_subQuat(turn, push.orientation, data.xquat[body])
        mujoco.mju_rotVecQuat(turn_world, turn, data.xquat[body])
        force = 20 * mass * (push.velocity - motion[3:])
        force[2] = 0.5 * mass * 9.81
        inertia = float(model.body_inertia[body].max()) + mass * 1e-3
        data.xfrc_applied[body, :3] = force
        data.xfrc_applied[body, 3:] = inertia * (400 * turn_world - 40 * motion[:3])
