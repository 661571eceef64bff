# SPDX-License-Identifier: Apache-2.0
"""The worker: newest first, errors survived, no thread left."""

from __future__ import annotations

import threading
from time import monotonic

from amodal_ros.ros.latest_worker import LatestWorker


def test_newest_wins_and_superseded_are_told():
    busy, go_on = threading.Event(), threading.Event()
    handled, superseded = [], []
    done = threading.Event()

    def handle(item):
        handled.append(item)
        busy.set()
        assert go_on.wait(5)
        if item == 4:
            done.set()

    worker = LatestWorker(handle, superseded.append, on_error=lambda error: None)
    worker.submit(1)
    assert busy.wait(5)
    for item in (2, 3, 4):
        worker.submit(item)
    go_on.set()
    assert done.wait(5)
    assert worker.stop(5)
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

    worker = LatestWorker(handle, lambda item: None, on_error)
    worker.submit("bad")
    assert told.wait(5)
    worker.submit("good")
    assert handled.wait(5)
    assert worker.stop(5)
    assert [str(error) for error in errors] == ["one frame"]


def test_stop_forgets_what_waits_and_tells_the_item_in_work():
    busy, seen = threading.Event(), []

    def handle(item):
        busy.set()
        while not worker.stopping:
            pass
        seen.append(item)

    worker = LatestWorker(handle, lambda item: None, lambda error: None)
    worker.submit(1)
    assert busy.wait(5)
    worker.submit(2)
    assert worker.stop(5)
    assert seen == [1]
    worker.submit(3)
    assert seen == [1]
    assert worker.stop(5)


def test_stop_reports_an_item_that_takes_too_long():
    busy, go_on = threading.Event(), threading.Event()

    def handle(item):
        busy.set()
        go_on.wait(5)

    worker = LatestWorker(handle, lambda item: None, lambda error: None)
    worker.submit(1)
    assert busy.wait(5)
    assert not worker.stop(0.05)
    go_on.set()
    assert worker.stop(5)


def test_it_tells_since_when_it_is_idle():
    busy, go_on = threading.Event(), threading.Event()

    def handle(item):
        busy.set()
        assert go_on.wait(5)

    worker = LatestWorker(handle, lambda item: None, lambda error: None)
    first = worker.idle_since_s
    assert first <= monotonic()
    worker.submit(1)
    assert busy.wait(5)
    assert worker.idle_since_s is None
    go_on.set()
    deadline = monotonic() + 5
    while worker.idle_since_s is None and monotonic() < deadline:
        pass
    assert worker.idle_since_s > first
    assert worker.stop(5)
