# SPDX-License-Identifier: Apache-2.0
"""Where one frame is in another, from ``/tf`` and ``/tf_static``.

tf2_ros does it where it is installed, as with every ROS that comes from packages. The wheels have
no tf2_ros, so there a buffer of our own does (``transform_buffer``), over the same topics and with
the same rules: interpolation between two transforms, and no extrapolation.
"""

from __future__ import annotations

import importlib.util
import time
from enum import Enum
from typing import Any, Protocol

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time

from amodal_ros.depth.camera import RigidTransform
from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.convert.stamps import stamp_to_ns
from amodal_ros.ros.inputs.transform_buffer import (
    KEPT_S,
    FrameUnknownError,
    OutsideKnownError,
    TransformBuffer,
)

_POLL_S = 0.005
_QUEUE = 100


class Lack(Enum):
    """Why there is no transform."""

    MISSING = "a frame is not known, or no way leads to it"
    LATE = "the newest is older than the image"
    OLD = "the oldest is newer than the image"


class NoTransformError(Exception):
    """There is no transform; says why, and what to do."""

    def __init__(self, lack: Lack, text: str) -> None:
        super().__init__(text)
        self.lack = lack


class Transforms(Protocol):
    """Looks up transforms as they come in."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """From the frame `source` to the frame `target`.

        Raises:
            NoTransformError: if it is not known.
        """

    def clear(self) -> None:
        """Forget what moves: time has started again."""

    def close(self) -> None:
        """Unsubscribe."""


def open_transforms(node: Node) -> Transforms:
    """Listen from now on: with tf2_ros where it is installed, else with our own buffer.

    Raises:
        InvalidInputError: if tf2_msgs is not installed.
    """
    check_transforms_installed()
    return Tf2Transforms(node) if _has_tf2_ros() else OwnTransforms(node)


def check_transforms_installed() -> None:
    """Check for the messages of transforms.

    Raises:
        InvalidInputError: if tf2_msgs is not installed.
    """
    if not _has_tf2_ros() and importlib.util.find_spec("tf2_msgs") is None:
        raise InvalidInputError(
            "target_frame and depth_camera_info_topic need tf2_msgs: apt install "
            "ros-$ROS_DISTRO-tf2-ros-py; where ROS comes from wheels, scripts/test builds it"
        )


def _has_tf2_ros() -> bool:
    return importlib.util.find_spec("tf2_ros") is not None


def wait_for_transform(
    transforms: Transforms, target: str, source: str, stamp_ns: int, timeout_s: float
) -> tuple[RigidTransform, bool]:
    """A transform at an image's stamp, waiting for it if it is late.

    Returns:
        The transform, and whether it had to be waited for.

    Raises:
        NoTransformError: if it is not known, or does not come in time.
    """
    if target.lstrip("/") == source.lstrip("/"):
        return RigidTransform.identity(), False
    until_s, waited = time.monotonic() + timeout_s, False
    while True:
        try:
            return transforms.lookup(target, source, stamp_ns), waited
        except NoTransformError as error:
            if error.lack is not Lack.LATE or time.monotonic() >= until_s:
                raise
            waited = True
        time.sleep(_POLL_S)


class OwnTransforms:
    """Our own buffer over ``/tf`` and ``/tf_static``."""

    def __init__(self, node: Node) -> None:
        from tf2_msgs.msg import TFMessage

        self._node = node
        self._buffer = TransformBuffer()
        latched = QoSProfile(depth=_QUEUE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf", self._take, QoSProfile(depth=_QUEUE)),
            node.create_subscription(
                TFMessage, "/tf_static", lambda message: self._take(message, True), latched
            ),
        ]

    def lookup(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """See `Transforms`."""
        return look_up(self._buffer, target, source, stamp_ns)

    def clear(self) -> None:
        """See `Transforms`."""
        self._buffer.clear()

    def close(self) -> None:
        """See `Transforms`."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _take(self, message: Any, fixed: bool = False) -> None:
        put_transforms(self._buffer, message, fixed)


class Tf2Transforms:
    """tf2_ros's buffer and listener."""

    def __init__(self, node: Node) -> None:
        import tf2_ros

        self._tf2 = tf2_ros
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """See `Transforms`."""
        target, source = target.lstrip("/"), source.lstrip("/")
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except self._tf2.ExtrapolationException as error:
            newest = self._buffer.get_latest_common_time(target, source).nanoseconds
            # Where it is not too new, it lies before the oldest, by how much tf2 tells in words.
            late_ns = stamp_ns - newest if stamp_ns > newest else 0
            raise outside(target, source, late_ns, str(error)) from error
        except (self._tf2.LookupException, self._tf2.ConnectivityException) as error:
            raise missing(target, source, str(error)) from error
        turn, shift = found.transform.rotation, found.transform.translation
        return RigidTransform.from_quaternion(
            np.array([turn.x, turn.y, turn.z, turn.w]), np.array([shift.x, shift.y, shift.z])
        )

    def clear(self) -> None:
        """See `Transforms`."""
        self._buffer.clear()

    def close(self) -> None:
        """See `Transforms`."""
        self._listener.unregister()


def put_transforms(buffer: TransformBuffer, message: Any, fixed: bool) -> None:
    """Put a `TFMessage`, or what has its fields, into our own buffer."""
    for entry in message.transforms:
        turn, shift = entry.transform.rotation, entry.transform.translation
        try:
            buffer.put(
                entry.child_frame_id,
                entry.header.frame_id,
                np.array([turn.x, turn.y, turn.z, turn.w]),
                np.array([shift.x, shift.y, shift.z]),
                stamp_to_ns(entry.header.stamp),
                fixed,
            )
        except InvalidInputError:
            continue  # tf2 leaves it out too; the frame stays unknown, which is told


def look_up(buffer: TransformBuffer, target: str, source: str, stamp_ns: int) -> RigidTransform:
    """From the frame `source` to the frame `target`, by our own buffer.

    Raises:
        NoTransformError: if it is not known.
    """
    try:
        return buffer.lookup(target, source, stamp_ns)
    except FrameUnknownError as error:
        raise missing(target, source, str(error)) from error
    except OutsideKnownError as error:
        raise outside(target, source, error.late_ns) from error


def missing(target: str, source: str, reason: str) -> NoTransformError:
    """The error of frames that are not known or not connected."""
    return NoTransformError(
        Lack.MISSING,
        f"no transform from {source!r} to {target!r}: {reason}. Does robot_state_publisher run, "
        "is the camera's mounting published (static_transform_publisher), is the frame's name "
        "right?",
    )


def outside(target: str, source: str, late_ns: int, detail: str = "") -> NoTransformError:
    """The error of a time outside of what is known.

    Args:
        target: frame.
        source: frame.
        late_ns: by how much the newest transform is too old; 0 or below: the oldest is too new.
        detail: what the library says.
    """
    way = f"from {source!r} to {target!r}"
    if late_ns > 0:
        return NoTransformError(
            Lack.LATE,
            f"the newest transform {way} is {late_ns / 1e6:.4g} ms older than the image: raise "
            "transform_timeout, let it be published more often, or set the clocks of both alike",
        )
    how = detail or f"the oldest known is {-late_ns / 1e6:.4g} ms newer than the image"
    return NoTransformError(
        Lack.OLD,
        f"the transform {way} at the image's time is not known ({how}): {KEPT_S} s are kept. Is "
        "the image stamped by another clock (use_sim_time), or answered later than that?",
    )
