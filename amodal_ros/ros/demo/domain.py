# SPDX-License-Identifier: Apache-2.0
"""A ROS domain that nobody else on this machine is in, held for as long as it is used."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from amodal_ros.errors import AmodalError

# https://docs.ros.org/en/jazzy/Concepts/Intermediate/About-Domain-ID.html: up to 101 is free of
# clashes with the ephemeral ports of Linux; 0 is everybody's default.
DOMAINS = range(1, 102)
# RTPS 2.2, 9.6.1.1: discovery multicast, and the first participant's own port.
_FIRST_PORT, _PORTS_PER_DOMAIN, _OFFSETS = 7400, 250, (0, 10)


class NoFreeDomainError(AmodalError):
    """Every ROS domain is in use."""


def claim_domain(held: ExitStack, domains: Sequence[int] = DOMAINS) -> int:
    """Takes a ROS domain in which no process is and that no other caller holds.

    Args:
        held: The domain is free again when this stack is closed, or its process has ended.
        domains: To choose from, at random.

    Raises:
        NoFreeDomainError: All are in use.
    """
    for domain in random.sample(domains, len(domains)):
        if _claim(domain, held):
            return domain
    raise NoFreeDomainError(f"no free ROS domain from {domains[0]} to {domains[-1]}")


def _claim(domain: int, held: ExitStack) -> bool:
    """A file that is locked tells those who ask at the same moment; ports tell all others."""
    path = Path(tempfile.gettempdir()) / f"amodal_ros_domain_{domain}_{os.getuid()}.lock"
    lock = held.enter_context(path.open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return all(_is_free(_FIRST_PORT + _PORTS_PER_DOMAIN * domain + n) for n in _OFFSETS)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
