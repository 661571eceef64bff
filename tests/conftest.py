# SPDX-License-Identifier: Apache-2.0
"""What all tests share: a ROS domain of their own, the checkout's root, skips with a reason."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from amodal_ros.ros.demo.processes import claim_domain
from tests import machine

# Set in the process that a test has of its own.
_ALONE = "AMODAL_ROS_TEST_ALONE"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For several workers: a file's tests go together, and the export, the longest, goes first."""
    items.sort(key=lambda item: item.path.parent.name != "export")
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(str(item.path)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Ends a run on several workers whose tests would not stay together.

    xdist writes the group into a test's id; with a pytest in which it cannot, it says nothing, and
    what a file's tests share is made once for each worker.
    """
    grouped = getattr(session.config.option, "loadgroup", False)
    if grouped and any("@" not in item.nodeid for item in session.items):
        raise pytest.UsageError(
            f"pytest {pytest.__version__} takes no groups from pytest-xdist: install what "
            "requirements/test.txt asks for"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what this machine cannot run, before any fixture tries."""
    for marker, reason in machine.MARKERS.items():
        if item.get_closest_marker(marker) is not None and machine.lacks(marker):
            pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that must share no process with others in one of its own."""
    if pyfuncitem.get_closest_marker("own_process") is None or _ALONE in os.environ:
        return None
    test = f"{pyfuncitem.path}::{pyfuncitem.name}"
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, test],
        cwd=pyfuncitem.config.rootpath,
        env={**os.environ, _ALONE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return True


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The checkout's root."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def package_loggers_as_they_were() -> Iterator[None]:
    """A node's process takes the package's log for itself, and commands quieten it."""
    logger = logging.getLogger("amodal_ros")
    propagate, handlers, levels = logger.propagate, list(logger.handlers), _package_levels()
    yield
    logger.propagate = propagate
    logger.handlers[:] = handlers
    for name in _package_levels():
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))


def _package_levels() -> dict[str, int]:
    return {
        name: known.level
        for name, known in logging.Logger.manager.loggerDict.items()
        if name.partition(".")[0] == "amodal_ros" and isinstance(known, logging.Logger)
    }


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Engines compiled by tests, and by processes that they start, lie in no user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def interruptible_children() -> None:
    """Ctrl-C reaches the processes that tests start.

    A shell starts background jobs (a CI runner's, say) with SIGINT ignored, and ignored signals
    are inherited; a handler is not.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def ros_domain_id() -> Iterator[int]:
    """A ROS domain that nobody on this machine uses, set for this process and its children.

    Discovery stays on this machine, so that two machines on one network do not meet either.
    """
    with ExitStack() as held:
        domain = claim_domain(held)
        patch = held.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain
