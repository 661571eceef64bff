# SPDX-License-Identifier: Apache-2.0
"""The demo has a ROS domain of its own."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from amodal_ros.ros.demo import processes as demo_processes
from amodal_ros.ros.demo.processes import NoFreeDomainError, claim_domain


def test_a_domain_in_use_is_avoided():
    with ExitStack() as held, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 7410 + 250 * 61))
        assert claim_domain(held, (61, 62)) == 62
        # Whoever asks at the same moment gets another, though no process is in it yet.
        with ExitStack() as second, pytest.raises(NoFreeDomainError, match="from 61 to 62"):
            claim_domain(second, (61, 62))
    with ExitStack() as later:
        assert claim_domain(later, (62,)) == 62


def test_a_demo_keeps_to_itself_whatever_the_users_variables_say(monkeypatch, tmp_path):
    """A robot's graph must not get the demo's pictures, and two demos must not meet."""
    discovery = "ROS_AUTOMATIC_DISCOVERY_RANGE"
    monkeypatch.setenv("ROS_DOMAIN_ID", "107")
    monkeypatch.setenv("ROS_DISCOVERY_SERVER", "robot:11811")
    monkeypatch.setenv("ROS_STATIC_PEERS", "robot")
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "0")
    monkeypatch.setenv(discovery, "SUBNET")
    monkeypatch.delenv("ROS_LOG_DIR", raising=False)
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    with ExitStack() as held:
        first, second = (demo_processes.ros_environment(None, tmp_path, held) for _ in range(2))
        for alone in (first, second):
            assert 1 <= int(alone["ROS_DOMAIN_ID"]) <= 101
            assert alone[discovery] == "LOCALHOST"
            assert not {"ROS_DISCOVERY_SERVER", "ROS_STATIC_PEERS", "ROS_LOCALHOST_ONLY"} & set(
                alone
            )
            assert alone["ROS_LOG_DIR"] == str(tmp_path / "ros")
        assert first["ROS_DOMAIN_ID"] != second["ROS_DOMAIN_ID"]
        joined = demo_processes.ros_environment(9, tmp_path, held)
        assert joined["ROS_DOMAIN_ID"] == "9"
        assert joined["ROS_STATIC_PEERS"] == "robot"
        assert joined[discovery] == "SUBNET"
        monkeypatch.setenv("ROS_DISTRO", "humble")
        assert demo_processes.ros_environment(None, tmp_path, held)["ROS_LOCALHOST_ONLY"] == "1"
