# SPDX-License-Identifier: Apache-2.0
"""The worker: newest first, errors survived, no thread left."""

from __future__ import annotations

import gc
import threading
import weakref
from time import monotonic, sleep

import pytest

from amodal_ros.ros.node.latest_worker import LatestWorker


def same(item):
    return item


def test_newest_wins_and_superseded_are_told():
    busy, go_on = threading.Event(), threading.Event()
    handled, superseded = [], []
    done = threading.Event()

    def handle(item):
        handled.append(item)
        busy.set()
        assert go_on.wait(60)
        if item == 4:
            done.set()

    worker = LatestWorker(same, handle, superseded.append, on_error=lambda error: None)
    worker.submit(1)
    assert busy.wait(60)
    for item in (2, 3, 4):
        worker.submit(item)
    go_on.set()
    assert done.wait(60)
    assert worker.stop(60)
    assert (handled, superseded) == ([1, 4], [2, 3])


def test_an_error_costs_one_item():
    errors, handled = [], threading.Event()

    def handle(item):
        if item == "bad":
            raise ValueError("one frame")
        handled.set()

    told = threading.Event()

    def on_error(error):
        errors.append(error)
        told.set()

    worker = LatestWorker(same, handle, lambda item: None, on_error)
    worker.submit("bad")
    assert told.wait(60)
    worker.submit("good")
    assert handled.wait(60)
    assert worker.stop(60)
    assert [str(error) for error in errors] == ["one frame"]


def test_stop_forgets_what_waits_and_lets_the_item_in_work_end():
    busy, go_on, seen = threading.Event(), threading.Event(), []

    def handle(item):
        busy.set()
        assert go_on.wait(60)
        seen.append(item)

    worker = LatestWorker(same, handle, lambda item: None, lambda error: None)
    worker.submit(1)
    assert busy.wait(60)
    worker.submit(2)
    assert not worker.stop(0.05)
    go_on.set()
    assert worker.stop(60)
    assert seen == [1]
    worker.submit(3)
    assert seen == [1]
    assert worker.stop(60)


def test_it_tells_since_when_it_is_idle():
    busy, go_on = threading.Event(), threading.Event()

    def handle(item):
        busy.set()
        assert go_on.wait(60)

    worker = LatestWorker(same, handle, lambda item: None, lambda error: None)
    first = worker.idle_since_s
    assert first <= monotonic()
    worker.submit(1)
    assert busy.wait(60)
    assert worker.idle_since_s is None
    go_on.set()
    deadline = monotonic() + 5
    while worker.idle_since_s is None and monotonic() < deadline:
        pass
    assert worker.idle_since_s > first
    assert worker.stop(60)


class Step:
    """A step of the work that the test lets go on."""

    def __init__(self):
        self.items, self._begun, self._released = [], threading.Condition(), set()

    def __call__(self, item):
        with self._begun:
            self.items.append(item)
            self._begun.notify_all()
            assert self._begun.wait_for(lambda: item in self._released, 5)
        return item

    def wait_for(self, item):
        with self._begun:
            assert self._begun.wait_for(lambda: item in self.items, 5)

    def release(self, *items):
        with self._begun:
            self._released.update(items)
            self._begun.notify_all()


@pytest.fixture
def steps():
    return Step(), Step()


def nothing(item):
    pass


def test_the_next_item_is_prepared_while_one_is_handled(steps):
    prepare, handle = steps
    superseded = []
    worker = LatestWorker(prepare, handle, superseded.append, nothing, ahead=lambda: True)
    prepare.release(1, 2, 4)
    worker.submit(1)
    handle.wait_for(1)
    worker.submit(2)
    prepare.wait_for(2)
    assert handle.items == [1]
    # What is prepared keeps its place; of those behind it the newest counts.
    worker.submit(3)
    worker.submit(4)
    assert superseded == [3]
    assert prepare.items == [1, 2]
    handle.release(1)
    handle.wait_for(2)
    prepare.wait_for(4)
    handle.release(2, 4)
    handle.wait_for(4)
    assert worker.stop(60)
    assert (prepare.items, handle.items) == ([1, 2, 4], [1, 2, 4])


def test_nothing_is_taken_while_an_item_is_still_prepared(steps):
    prepare, handle = steps
    superseded = []
    worker = LatestWorker(prepare, handle, superseded.append, nothing, ahead=lambda: True)
    worker.submit(1)
    prepare.wait_for(1)
    worker.submit(2)
    worker.submit(3)
    assert superseded == [2]
    prepare.release(1, 3)
    handle.wait_for(1)
    prepare.wait_for(3)
    handle.release(1, 3)
    handle.wait_for(3)
    assert worker.stop(60)
    assert (prepare.items, handle.items) == ([1, 3], [1, 3])


def test_the_next_item_is_taken_as_late_as_its_preparation_allows():
    handling, done = threading.Event(), threading.Event()
    taken_s, handling_s = {}, {}

    def prepare(item):
        taken_s[item] = monotonic()
        sleep(0.1)
        return item

    def handle(item):
        handling_s[item] = monotonic()
        handling.set()
        sleep(0.6)
        if item == "newer":
            done.set()

    superseded = []
    worker = LatestWorker(prepare, handle, superseded.append, nothing, ahead=lambda: True)
    worker.submit("first")
    assert handling.wait(60)
    sleep(0.7)
    handling.clear()
    worker.submit("second")
    assert handling.wait(60)
    worker.submit("old")
    sleep(0.2)
    worker.submit("newer")  # 0.3 s before the other would have been taken
    assert done.wait(60)
    assert worker.stop(60)
    assert superseded == ["old"]
    assert "old" not in taken_s
    # In work before the one before was done.
    assert handling_s["second"] + 0.3 < taken_s["newer"] < handling_s["second"] + 0.6


def test_without_ahead_the_newest_is_taken_when_one_is_done(steps):
    prepare, handle = steps
    ahead = threading.Event()
    worker = LatestWorker(prepare, handle, nothing, nothing, ahead=ahead.is_set)
    prepare.release(1, 2, 3, 4)
    worker.submit(1)
    handle.wait_for(1)
    worker.submit(2)
    worker.submit(3)
    assert prepare.items == [1]
    handle.release(1)
    handle.wait_for(3)
    ahead.set()  # may change at any time
    worker.submit(4)
    prepare.wait_for(4)
    handle.release(3, 4)
    handle.wait_for(4)
    assert worker.stop(60)
    assert prepare.items == [1, 3, 4]


def test_an_error_of_preparation_is_told_in_its_turn(steps):
    _, handle = steps
    order = []

    def prepare(item):
        if item == 2:
            raise ValueError("bad")
        return item

    def handled(item):
        handle(item)
        order.append(item)

    told = threading.Event()

    def on_error(error):
        order.append(str(error))
        told.set()

    worker = LatestWorker(prepare, handled, nothing, on_error, ahead=lambda: True)
    worker.submit(1)
    handle.wait_for(1)
    worker.submit(2)
    assert not told.wait(0.1)
    handle.release(1, 3)
    assert told.wait(60)
    worker.submit(3)
    handle.wait_for(3)
    assert worker.stop(60)
    assert order == [1, "bad", 3]


def test_stop_ends_what_waits_for_its_turn(steps):
    prepare, handle = steps
    worker = LatestWorker(prepare, handle, nothing, nothing, ahead=lambda: True)
    prepare.release(1, 2)
    worker.submit(1)
    handle.wait_for(1)
    worker.submit(2)
    prepare.wait_for(2)
    assert not worker.stop(0.05)
    handle.release(1, 2)
    assert worker.stop(60)
    assert handle.items == [1, 2]  # the second one sees that the worker is stopping


def test_an_item_that_is_done_is_not_kept():
    class Item:
        pass

    done = threading.Event()
    worker = LatestWorker(same, lambda item: done.set(), nothing, nothing)
    item = Item()
    gone = weakref.ref(item)
    worker.submit(item)
    del item
    assert done.wait(60)
    deadline = monotonic() + 5
    while worker.idle_since_s is None and monotonic() < deadline:
        pass
    gc.collect()
    assert gone() is None
    assert worker.stop(60)
