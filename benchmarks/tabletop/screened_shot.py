# SPDX-License-Identifier: Apache-2.0
"""One screened clip: a large object is carried before the others, held there, and taken away.

Nobody's own motion hides in it: the objects rest, the camera turns a little, so that what a
tracker says of a fully hidden object can be told from the truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amodal_ros.image.masks import mask_box
from benchmarks.tabletop.cameraman import Cameraman, View
from benchmarks.tabletop.catalog import FrameRecord, Shot
from benchmarks.tabletop.shots import FRAME_RATE_HZ, HW, MIN_VISIBLE_PX, record
from benchmarks.tabletop.stage import Stage, build_stage
from training.rendering.mujoco_beside_torch import mujoco

OBJECTS = 6  # the one that is carried included: few, so that a clip is cheap to evaluate
HOLD_S = (1.25, 1.6)
SLIDE_S = (0.4, 0.6)
LEAD_S = 0.5
_COVER = (1.5, 3.0)  # how much larger than its target the screen looks
_TRIES = 8  # places to hold it at; the one that hides most is taken


@dataclass(frozen=True, eq=False)
class _Screen:
    """How the screen is carried.

    Attributes:
        number: of the object.
        middle: (3,) world position of its centre while it is held, metres.
        aside: (3,) from there to where it cannot be seen, metres.
        slide: frames it takes to come, and to go.
        hold: frames it stays.
        lead: frames before it comes.
        passes: whether it goes on to the other side instead of back.
    """

    number: int
    middle: NDArray[np.float64]
    aside: NDArray[np.float64]
    slide: int
    hold: int
    lead: int
    passes: bool

    def position(self, frame: int) -> NDArray[np.float64]:
        """Where its centre is at a frame, metres."""
        since = frame - self.lead
        if since < self.slide:
            return self.middle + self.aside * (1 - max(since, 0) / self.slide)
        gone = min(max(since - self.slide - self.hold, 0) / self.slide, 1.0)
        return self.middle + self.aside * gone * (-1 if self.passes else 1)


def render_screened(shot: Shot) -> list[FrameRecord]:
    """Render a clip and write its pictures."""
    rng = np.random.default_rng([shot.seed, 2, shot.number])
    picks = rng.choice(len(shot.objects), size=min(OBJECTS, len(shot.objects)), replace=False)
    stage = build_stage(shot.assets, [shot.objects[k] for k in picks], rng, HW)
    view = View(
        lookat=(float(stage.centre[0]), float(stage.centre[1]), float(stage.centre[2])),
        distance=float(rng.uniform(0.75, 1.05)),
        azimuth=float(rng.uniform(0, 360)),
        elevation=float(rng.uniform(-40, -15)),
        fovy=float(rng.uniform(38, 48)),
    )
    records = []
    with Cameraman(stage, HW) as cameraman:
        screen = _choose_screen(stage, view, cameraman, rng)
        for frame, moment in enumerate(_moments(view, shot.frames, rng)):
            _carry(stage, screen, frame)
            name = f"images/screened_{shot.number:03d}_{frame:03d}.png"
            picture = cameraman.shoot(moment)
            Image.fromarray(picture.image).save(shot.out / name)
            records.append(record(stage, picture, name, frame, keep_hidden=True))
    return records


def _moments(view: View, frames: int, rng: np.random.Generator) -> Iterator[View]:
    """The camera at each frame: it turns slowly, at a constant rate."""
    turn, tilt = rng.uniform(-16, 16), rng.uniform(-4, 4)
    for frame in range(frames):
        share = frame / max(frames - 1, 1) - 0.5
        yield replace(
            view,
            azimuth=view.azimuth + float(turn * share),
            elevation=view.elevation + float(tilt * share),
        )


def _choose_screen(
    stage: Stage, view: View, cameraman: Cameraman, rng: np.random.Generator
) -> _Screen:
    """The object that fills most of a square, held where it hides most of the others."""
    forward, right = _axes(view)
    camera = np.array(view.lookat) - view.distance * forward
    centres = stage.data.xipos[stage.body_ids]
    picture = cameraman.shoot(view)
    depths = (centres - camera) @ forward
    inner, outer = np.array([_sides(mask) for mask in picture.amodal]).T * depths
    number = int(np.argmax(inner))
    others = np.delete(np.arange(len(inner)), number)
    seen = others[[bool(picture.visible[k].any()) for k in others]]
    targets = seen if len(seen) else others
    half_view = np.tan(np.radians(view.fovy / 2)) * HW[1] / HW[0]
    best, most = _Screen(number, camera, right, 1, 1, 1, False), -1
    for _ in range(_TRIES):
        target = int(rng.choice(targets))
        cover = rng.uniform(*_COVER)
        closeness = float(np.clip(inner[number] / max(cover * outer[target], 1e-6), 0.2, 0.6))
        aim = centres[target] + rng.uniform(0, 0.7) * (stage.centre - centres[target])
        middle = camera + closeness * (aim - camera)
        away = 1.1 * half_view * float((middle - camera) @ forward)
        away += 1.5 * outer[number] * np.tan(np.radians(view.fovy / 2)) / HW[0]
        screen = _Screen(
            number=number,
            middle=middle,
            aside=right * rng.choice([-1, 1]) * away,
            slide=round(float(rng.uniform(*SLIDE_S)) * FRAME_RATE_HZ),
            hold=round(float(rng.uniform(*HOLD_S)) * FRAME_RATE_HZ),
            lead=round(LEAD_S * FRAME_RATE_HZ),
            passes=bool(rng.random() < 0.5),
        )
        _carry(stage, screen, screen.lead + screen.slide)
        held = cameraman.shoot(view).visible
        hidden = sum(int(np.count_nonzero(held[k]) < MIN_VISIBLE_PX) for k in targets)
        if hidden > most:
            best, most = screen, hidden
    return best


def _axes(view: View) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(3,) each: where the camera looks, and what is to its right."""
    azimuth, elevation = np.radians([view.azimuth, view.elevation])
    level = np.cos(elevation)
    forward = np.array([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)])
    return forward, np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])


def _sides(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Side of a square that the shape covers, and its longer side; pixels, 0 when not seen."""
    x0, y0, x1, y1 = mask_box(mask)
    if x1 == 0:
        return 0.0, 0.0
    width, height = x1 - x0, y1 - y0
    return min(width, height) * np.count_nonzero(mask) / (width * height), max(width, height)


def _carry(stage: Stage, screen: _Screen, frame: int) -> None:
    """Put the screen where it is at a frame; nothing else moves."""
    body = stage.body_ids[screen.number]
    address = stage.model.jnt_qposadr[stage.model.body_jntadr[body]]
    stage.data.qpos[address : address + 3] += screen.position(frame) - stage.data.xipos[body]
    mujoco.mj_forward(stage.model, stage.data)
