# SPDX-License-Identifier: Apache-2.0
"""Pictures from buffers: environment light, soft shadows, mirroring, glass; linear colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from training.rendering.camera import Camera
from training.rendering.environment import ROUGHNESS, Environment, look_up

if TYPE_CHECKING:
    from training.rendering.canvas import Canvas

Float = NDArray[np.float32]
Rng = np.random.Generator

SHADOW_SIDE = 512
DOME = 10
_BIAS_M = 0.002
_MATT = 0.5  # rougher surfaces mirror too little to be seen
_LINEAR = (np.linspace(0, 1, 256) ** 2.2).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Surfaces:
    """How each geom reflects; (G,) float32 each.

    Attributes:
        roughness: 0 (a mirror) to 1.
        metal: 1 where light is mirrored in the colour of the surface.
        clear: 1 where one looks through.
    """

    roughness: Float
    metal: Float
    clear: Float


@dataclass(frozen=True, eq=False)
class Buffers:
    """What a camera sees.

    Attributes:
        albedo: (H, W, 3) linear RGB.
        normal: (H, W, 3) unit vectors.
        depth: (H, W) metres.
        geom: (H, W) numbers, -1 for none.
    """

    albedo: Float
    normal: Float
    depth: Float
    geom: NDArray[np.int64]


def take_buffers(canvas: Canvas, camera: Camera, hw: tuple[int, int]) -> Buffers:
    """Draw all buffers of one view."""
    canvas.aim(camera, hw)
    albedo = _LINEAR[canvas.albedo()]
    depth = canvas.depth()
    return Buffers(albedo, canvas.normals(), depth, canvas.geom_numbers())


@dataclass(frozen=True, eq=False)
class ShadowMap:
    """Distances from a far light.

    Attributes:
        to_map: (3, 4) world point to x and y in pixels of the map, and depth in metres.
        depth: (S, S) of the nearest surface.
        towards: (3,) unit vector to the light.
    """

    to_map: Float
    depth: Float
    towards: Float


def cast_shadows(
    canvas: Canvas, casters: NDArray[np.bool_], middle: Float, reach: float, towards: Float
) -> ShadowMap:
    """Draw what a light sees of the casters within `reach` metres of `middle`."""
    forward = -towards.astype(np.float64)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    up -= forward * (up @ forward)
    up /= np.linalg.norm(up)
    eye = middle - 2 * reach * forward
    camera = Camera(
        eye, forward, up, 2 * reach, orthographic=True, near=0.5 * reach, far=4 * reach
    )
    canvas.aim(camera, (SHADOW_SIDE, SHADOW_SIDE))
    with canvas.only(casters):
        canvas.geom_numbers()
    depth = canvas.depth()
    depth[depth > 0.999 * camera.far] = 1e6  # the light reaches whatever is behind
    scale = SHADOW_SIDE / (2 * reach)
    rows = np.stack([camera.right * scale, -up * scale, forward])
    offset = -rows @ eye + np.array([(SHADOW_SIDE - 1) / 2, (SHADOW_SIDE - 1) / 2, 0])
    return ShadowMap(np.column_stack([rows, offset]).astype(np.float32), depth, towards)


def lit(shadow: ShadowMap, points: Float, spread: Float | None) -> Float:
    """(H, W) 1 where the light reaches points (H, W, 3), else 0.

    Args:
        shadow: the light's map.
        points: world coordinates, metres.
        spread: (H, W, 2) offsets in the map, pixels: a light of some size, as noise.
    """
    place = cv2.transform(points, shadow.to_map)
    x, y, depth = cv2.split(place)
    if spread is not None:
        x, y = x + spread[..., 0], y + spread[..., 1]
    # Outside the map nothing casts shadows.
    nearest = cv2.remap(
        shadow.depth, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=1e6
    )
    return (depth < nearest + np.float32(_BIAS_M)).astype(np.float32)


def dome_directions(count: int) -> Float:
    """(count, 3) unit vectors over the upper half of the sphere, weighted by their cosine."""
    share = (np.arange(count) + 0.5) / count
    up, turn = np.sqrt(1 - 0.92 * share), np.pi * (1 + 5**0.5) * np.arange(count)
    flat = np.sqrt(1 - up**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), up], axis=1).astype(np.float32)


class Light:
    """The light of one scene: an environment, its sun's shadow map, and those of a dome."""

    def __init__(
        self,
        canvas: Canvas,
        environment: Environment,
        casters: NDArray[np.bool_],
        points: NDArray[np.float64],
        softness_m: float,
    ) -> None:
        """Draw the shadow maps.

        Args:
            canvas: with the scene's model.
            environment: where light comes from.
            casters: (G,) which geoms cast shadows.
            points: (P, 3) of them, metres.
            softness_m: how far the edge of the sun's shadows is spread, metres.
        """
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        reach = float(np.linalg.norm(points - middle, axis=1).max()) * 1.02
        self.environment = environment
        self._pixels_per_m = SHADOW_SIDE / (2 * reach)
        self._softness_m = softness_m
        middle = middle.astype(np.float32)
        self._sun = cast_shadows(canvas, casters, middle, reach, environment.sun)
        self._dome = [
            cast_shadows(canvas, casters, middle, reach, direction)
            for direction in dome_directions(DOME)
        ]

    def arriving(self, buffers: Buffers, points: Float, rng: Rng) -> tuple[Float, Float]:
        """(H, W, 3) irradiance over pi, and (H, W, 1) the open share of the sky."""
        noise = _noise(points.shape[:2], rng)
        sun = np.maximum(cv2.transform(buffers.normal, self._sun.towards[None]), np.float32(0))
        spread = noise * np.float32(self._softness_m * self._pixels_per_m)
        raised = points + buffers.normal * np.float32(0.0015)
        direct = sun * lit(self._sun, raised, spread)
        if self._softness_m > 0.001:
            direct = cv2.blur(direct, (3, 3)).astype(np.float32)
        sky = self._sky(buffers.normal[::2, ::2], raised[::2, ::2], noise[::2, ::2])
        size = (direct.shape[1], direct.shape[0])
        sky = cv2.resize(sky, size, interpolation=cv2.INTER_LINEAR)[..., None].astype(np.float32)
        ambient = look_up(self.environment.irradiance, buffers.normal)
        return ambient * sky + direct[..., None] * self.environment.sun_radiance, sky

    def _sky(self, normal: Float, points: Float, noise: Float) -> Float:
        """(H, W) how much of the light from above arrives, with a floor for what bounces."""
        normal, points = np.ascontiguousarray(normal), np.ascontiguousarray(points)
        spread = np.ascontiguousarray(noise) * np.float32(0.012 * self._pixels_per_m)
        open_, whole = (np.full(points.shape[:2], 1e-3, np.float32) for _ in range(2))
        for shadow in self._dome:
            facing = np.maximum(cv2.transform(normal, shadow.towards[None]), 0)
            whole += facing
            open_ += facing * lit(shadow, points, spread)
        share = cv2.blur(open_ / whole, (3, 3))
        return np.float32(0.12) + np.float32(0.88) * share


def shade(
    buffers: Buffers, camera: Camera, surfaces: Surfaces, light: Light, backdrop: Float, rng: Rng
) -> Float:
    """(H, W, 3) linear RGB of opaque surfaces; `backdrop` (H, W, 3) shows where nothing is."""
    rays = camera.rays(buffers.depth.shape[:2])
    points = rays * buffers.depth[..., None] + camera.eye.astype(np.float32)
    arriving, sky = light.arriving(buffers, points, rng)
    metal = surfaces.metal[buffers.geom]
    rough = surfaces.roughness[buffers.geom]
    colour = buffers.albedo * arriving
    glossy = (buffers.geom >= 0) & ((rough < _MATT) | (metal > 0))
    mirrored, fresnel = mirror(
        buffers.normal[glossy], rays[glossy], rough[glossy], light.environment
    )
    own, metallic = buffers.albedo[glossy], metal[glossy][:, None]
    base = np.float32(0.04) * (1 - metallic) + own * metallic
    share = base + (1 - base) * fresnel[:, None]
    colour[glossy] = colour[glossy] * (1 - metallic) + share * mirrored * sky[glossy]
    return np.where((buffers.geom >= 0)[..., None], colour, backdrop)


def _noise(hw: tuple[int, int], rng: Rng) -> Float:
    """(H, W, 2) standard normal values, repeated after 128 pixels."""
    tile = rng.standard_normal((128, 128, 2), dtype=np.float32)
    return np.tile(tile, (-(-hw[0] // 128), -(-hw[1] // 128), 1))[: hw[0], : hw[1]]


def mirror(
    normal: Float, rays: Float, roughness: Float, environment: Environment
) -> tuple[Float, Float]:
    """What surfaces mirror (P, 3), and Schlick's share that grows at flat angles (P,).

    Args:
        normal: (P, 3) unit vectors.
        rays: (P, 3) from the eye.
        roughness: (P,).
        environment: what is mirrored.
    """
    ahead = rays / np.sqrt(np.einsum("pc,pc->p", rays, rays))[:, None]
    facing = np.einsum("pc,pc->p", ahead, normal)
    level = np.searchsorted(np.array(ROUGHNESS[:-1]) + 0.1, roughness).astype(np.float32)
    mirrored = look_up(environment.mirrors, ahead - 2 * facing[:, None] * normal, level)
    away = np.clip(1 + facing, 0, 1)
    return mirrored, away**5 * (1 - np.float32(0.9) * roughness)


def add_glass(
    picture: Float,
    opaque: Buffers,
    glass: Buffers,
    camera: Camera,
    surfaces: Surfaces,
    environment: Environment,
) -> Float:
    """Lay clear surfaces over a picture: what is behind them, bent and tinted, and mirrors."""
    shown = (glass.geom >= 0) & (glass.depth < opaque.depth)
    if not shown.any():
        return picture
    y, x = np.mgrid[: shown.shape[0], : shown.shape[1]].astype(np.float32)
    bend = np.float32(0.03 * shown.shape[0])
    across = cv2.transform(glass.normal, camera.right[None].astype(np.float32)) * bend
    along = cv2.transform(glass.normal, camera.up[None].astype(np.float32)) * bend
    behind = cv2.remap(
        picture, x + across, y - along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    normal, rays = glass.normal[shown], camera.rays(shown.shape)[shown]
    rough = surfaces.roughness[glass.geom[shown]]
    mirrored, fresnel = mirror(normal, rays, rough, environment)
    share = np.clip(np.float32(0.06) + fresnel, 0, 1)[:, None]
    tint = np.float32(0.45) + np.float32(0.55) * glass.albedo[shown]
    result = picture.copy()
    result[shown] = behind[shown] * tint * (1 - share) + mirrored * share
    return result


def developed(linear: Float) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 sRGB of linear light: a soft shoulder, then a gamma of 1 / 2.2."""
    value = linear * (1 + linear * np.float32(0.12)) / (1 + linear * np.float32(0.6))
    value = np.clip(value, 0, 1, out=value)
    table = (np.linspace(0, 1, 4096) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
    return table[(value * np.float32(4095)).astype(np.uint16)]
