# SPDX-License-Identifier: Apache-2.0
"""What all tests share: a ROS domain of their own, the checkout's root, skips with a reason."""

from __future__ import annotations

import fcntl
import logging
import os
import random
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import machine

# With Linux's usual ephemeral ports, domains up to 101 have ports that nobody else gets.
# 0 is everybody's default.
_DOMAINS = range(1, 102)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what this machine cannot run, before any fixture tries."""
    for marker, reason in machine.MARKERS.items():
        if item.get_closest_marker(marker) is not None and machine.lacks(marker):
            pytest.skip(reason)


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
        domain = next((d for d in random.sample(_DOMAINS, len(_DOMAINS)) if _claim(d, held)), None)
        if domain is None:
            pytest.fail(f"no free ROS domain among {_DOMAINS}")
        patch = held.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain


def _claim(domain: int, held: ExitStack) -> bool:
    """Takes a domain unless another test session holds it or a ROS process is in it."""
    path = Path(tempfile.gettempdir()) / f"amodal_ros_domain_{domain}_{os.getuid()}.lock"
    lock = held.enter_context(path.open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # The DDS standard's ports: discovery multicast, and the first participant's own.
    return all(_port_is_free(7400 + 250 * domain + offset) for offset in (0, 10))


def _port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
