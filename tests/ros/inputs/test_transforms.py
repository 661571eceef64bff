# SPDX-License-Identifier: Apache-2.0
"""Transforms by tf2_ros where it is installed, and which of the two is taken."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from amodal_ros.depth.camera import RigidTransform
from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.inputs import transforms
from amodal_ros.ros.inputs.transforms import (
    Lack,
    NoTransformError,
    OwnTransforms,
    Tf2Transforms,
    open_transforms,
    wait_for_transform,
)

S = 1_000_000_000


class FakeBuffer:
    """Answers as tf2_ros.Buffer does."""

    raises: Exception | None = None

    def lookup_transform(self, target, source, time):
        self.asked = (target, source, time.nanoseconds)
        if self.raises is not None:
            raise self.raises
        turn = SimpleNamespace(x=0.0, y=0.0, z=1.0, w=0.0)
        shift = SimpleNamespace(x=1.0, y=2.0, z=3.0)
        return SimpleNamespace(transform=SimpleNamespace(rotation=turn, translation=shift))

    def get_latest_common_time(self, target, source):
        return SimpleNamespace(nanoseconds=5 * S)

    def clear(self):
        self.cleared = True


@pytest.fixture
def tf2_ros(monkeypatch):
    """A module that looks like tf2_ros to its users."""

    class Listener:
        def __init__(self, buffer, node, *, spin_thread):
            assert not spin_thread

        def unregister(self):
            module.unregistered = True

    names = ("ExtrapolationException", "LookupException", "ConnectivityException")
    errors = {name: type(name, (Exception,), {}) for name in names}
    module = SimpleNamespace(
        Buffer=FakeBuffer, TransformListener=Listener, __spec__=object(), **errors
    )
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    return module


def test_tf2_ros_is_taken_where_it_is_installed(tf2_ros):
    opened = open_transforms(node=None)
    assert isinstance(opened, Tf2Transforms)
    found = opened.lookup("/base", "camera", 3 * S)
    np.testing.assert_allclose(found.apply(np.array([1.0, 0.0, 0.0])), (0.0, 2.0, 3.0))
    assert opened._buffer.asked == ("base", "camera", 3 * S)
    opened.clear()
    opened.close()
    assert opened._buffer.cleared
    assert tf2_ros.unregistered


@pytest.mark.parametrize(
    ("error", "at_s", "lack", "text"),
    [
        ("ExtrapolationException", 7, Lack.LATE, "2000 ms older than the image: raise transform_"),
        ("ExtrapolationException", 3, Lack.OLD, r"is not known \(as tf2 says\): 10 s are kept"),
        ("LookupException", 3, Lack.MISSING, "no transform from 'camera' to 'base': as tf2 says"),
        ("ConnectivityException", 3, Lack.MISSING, "Does robot_state_publisher run"),
    ],
)
def test_what_tf2_lacks(tf2_ros, error, at_s, lack, text):
    opened = open_transforms(node=None)
    opened._buffer.raises = getattr(tf2_ros, error)("as tf2 says")
    with pytest.raises(NoTransformError, match=text) as caught:
        opened.lookup("base", "camera", at_s * S)
    assert caught.value.lack is lack


def test_our_own_is_taken_where_it_is_not(monkeypatch, make_node):
    monkeypatch.setattr(
        transforms.importlib.util, "find_spec", lambda name: None if name == "tf2_ros" else name
    )
    opened = open_transforms(make_node())
    assert isinstance(opened, OwnTransforms)
    with pytest.raises(NoTransformError, match="known are -"):
        opened.lookup("base", "camera", S)
    opened.close()


def test_without_the_messages_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(transforms.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=r"tf2_msgs: apt install ros-\$ROS_DISTRO-tf2-ros"):
        open_transforms(node=None)


class Later:
    """Known after some calls; until then it is late, or missing."""

    def __init__(self, calls, lack):
        self.calls, self.lack = calls, lack

    def lookup(self, target, source, stamp_ns):
        self.calls -= 1
        if self.calls >= 0:
            raise NoTransformError(self.lack, "not yet")
        return RigidTransform.identity()


def test_what_is_late_is_waited_for_and_what_is_missing_is_not():
    assert wait_for_transform(Later(0, Lack.LATE), "a", "b", 0, 1.0)[1] is False
    assert wait_for_transform(Later(3, Lack.LATE), "a", "b", 0, 5.0)[1] is True
    # A frame is in itself, whoever knows it.
    assert wait_for_transform(Later(9, Lack.MISSING), "/a", "a", 0, 0.0)[1] is False
    for waiting, timeout_s in ((Later(10**9, Lack.LATE), 0.02), (Later(1, Lack.MISSING), 60.0)):
        started = time.monotonic()
        with pytest.raises(NoTransformError, match="not yet"):
            wait_for_transform(waiting, "a", "b", 0, timeout_s)
        assert time.monotonic() - started < 30.0
