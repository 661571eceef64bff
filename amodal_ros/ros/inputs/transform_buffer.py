# SPDX-License-Identifier: Apache-2.0
"""Remembers the transforms of a robot's frames and looks them up at a time, as tf2 does.

For machines whose ROS comes from wheels, which have no tf2_ros; see ``transforms``.
"""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass, field

import numpy as np

from amodal_ros.depth.camera import RigidTransform
from amodal_ros.ros.convert.stamps import NS_PER_S

KEPT_S = 10  # as tf2_ros keeps them
_SAME_DIRECTION = 1.0 - 1e-9


class FrameUnknownError(Exception):
    """A frame, or a way between two; the message says which."""


class OutsideKnownError(Exception):
    """The time lies outside of what is known.

    Attributes:
        late_ns: by how much the newest is too old; below 0: the oldest is so much too new.
    """

    def __init__(self, late_ns: int) -> None:
        super().__init__()
        self.late_ns = late_ns


@dataclass
class _Link:
    """From a frame to its parent; poses by stamp, one of stamp 0 for ever if `fixed`."""

    parent: str
    fixed: bool
    stamps_ns: list[int] = field(default_factory=list)
    quaternions: list[np.ndarray] = field(default_factory=list)
    translations: list[np.ndarray] = field(default_factory=list)


class TransformBuffer:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._links: dict[str, _Link] = {}

    def clear(self) -> None:
        """Forget what moves, as when time starts again; fixed transforms are sent once."""
        with self._lock:
            self._links = {name: link for name, link in self._links.items() if link.fixed}

    def put(
        self,
        child: str,
        parent: str,
        quaternion_xyzw: np.ndarray,
        translation: np.ndarray,
        stamp_ns: int,
        fixed: bool,
    ) -> None:
        """Take the pose of a frame in its parent.

        Raises:
            InvalidInputError: for a quaternion without length, or numbers that are not finite.
        """
        RigidTransform.from_quaternion(quaternion_xyzw, translation)
        child, parent = child.lstrip("/"), parent.lstrip("/")
        stamp_ns = 0 if fixed else stamp_ns
        with self._lock:
            link = self._links.get(child)
            again = link is not None and link.stamps_ns[-1] - stamp_ns > KEPT_S * NS_PER_S
            if link is None or fixed or again or (link.parent, link.fixed) != (parent, fixed):
                link = self._links[child] = _Link(parent, fixed)
            at = bisect.bisect_left(link.stamps_ns, stamp_ns)
            if at < len(link.stamps_ns) and link.stamps_ns[at] == stamp_ns:
                return  # the first counts, as with tf2
            link.stamps_ns.insert(at, stamp_ns)
            link.quaternions.insert(at, quaternion_xyzw / np.linalg.norm(quaternion_xyzw))
            link.translations.insert(at, translation)
            old = bisect.bisect_left(
                link.stamps_ns, link.stamps_ns[-1] - KEPT_S * NS_PER_S, 0, len(link.stamps_ns) - 1
            )
            for kept in (link.stamps_ns, link.quaternions, link.translations):
                del kept[:old]

    def lookup(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """From the frame `source` to the frame `target` at a time.

        Raises:
            FrameUnknownError: if a frame is not known, or no way leads from one to the other.
            OutsideKnownError: if the time is outside of what is known of a frame on the way.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        with self._lock:
            up_from_source, up_from_target = self._way_up(source), self._way_up(target)
            if up_from_source[-1] != up_from_target[-1]:
                raise FrameUnknownError(self._no_way(source, target))
            while len(up_from_source) > 1 and len(up_from_target) > 1:
                if up_from_source[-2] != up_from_target[-2]:
                    break
                del up_from_source[-1], up_from_target[-1]
            links = [self._links[name] for name in (*up_from_source[:-1], *up_from_target[:-1])]
            _check_time(links, stamp_ns)
            to_source = self._pose(up_from_source[:-1], stamp_ns)
            to_target = self._pose(up_from_target[:-1], stamp_ns)
        return to_target.inverse() @ to_source

    def _way_up(self, frame: str) -> list[str]:
        """The frame, its parent, and so on to the root."""
        way = [frame]
        while way[-1] in self._links:
            way.append(self._links[way[-1]].parent)
            if way[-1] in way[:-1]:
                raise FrameUnknownError(f"the transforms of {way[-1]!r} run in a circle")
        return way

    def _no_way(self, source: str, target: str) -> str:
        known = {*self._links, *(link.parent for link in self._links.values())}
        unknown = [name for name in (source, target) if name not in known]
        if unknown:
            names = " and ".join(repr(name) for name in unknown)
            return f"nobody has told where {names} is; known are {', '.join(sorted(known)) or '-'}"
        roots = [self._way_up(name)[-1] for name in (source, target)]
        return (
            f"{source!r} and {target!r} are in different trees, whose roots are {roots[0]!r} and "
            f"{roots[1]!r}"
        )

    def _pose(self, way: list[str], stamp_ns: int) -> RigidTransform:
        pose = RigidTransform.identity()
        for name in way:
            pose = _at(self._links[name], stamp_ns) @ pose
        return pose


def _check_time(links: list[_Link], stamp_ns: int) -> None:
    moving = [link for link in links if not link.fixed]
    if not moving:
        return
    newest = min(link.stamps_ns[-1] for link in moving)
    oldest = max(link.stamps_ns[0] for link in moving)
    if stamp_ns > newest:
        raise OutsideKnownError(stamp_ns - newest)
    if stamp_ns < oldest:
        raise OutsideKnownError(stamp_ns - oldest)


def _at(link: _Link, stamp_ns: int) -> RigidTransform:
    """The pose at a time between the first and the last that are known."""
    if link.fixed:
        return RigidTransform.from_quaternion(link.quaternions[0], link.translations[0])
    after = bisect.bisect_left(link.stamps_ns, stamp_ns)
    if link.stamps_ns[after] == stamp_ns:
        return RigidTransform.from_quaternion(link.quaternions[after], link.translations[after])
    start, end = link.stamps_ns[after - 1], link.stamps_ns[after]
    share = (stamp_ns - start) / (end - start)
    first, second = link.translations[after - 1], link.translations[after]
    return RigidTransform.from_quaternion(
        _slerp(link.quaternions[after - 1], link.quaternions[after], share),
        first + share * (second - first),
    )


def _slerp(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Between two unit quaternions, the shorter way round."""
    cosine = float(first @ second)
    if cosine < 0:
        second, cosine = -second, -cosine
    if cosine > _SAME_DIRECTION:
        return first + share * (second - first)
    angle = np.arccos(cosine)
    weights = np.sin([(1 - share) * angle, share * angle]) / np.sin(angle)
    between: np.ndarray = weights[0] * first + weights[1] * second
    return between
