# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM end the node in under two seconds, whatever it does; nobody is left."""

from __future__ import annotations

import signal
import time

import pytest
from amodal_msgs.srv import SegmentAmodal

from tests.ros.faults.fault_rig import BOX, REAL_NODE
from tests.ros.ros_rig import START_S, image_message, picture

SIGNALS = [signal.SIGINT, signal.SIGTERM]
LIMIT_S = 2.0
LEAVE_S = 5.0
# Fast DDS forgets a participant that said no goodbye after 20 s.
LEASE_S = 30.0


def running(start, camera, *command, **parameters):
    """A node's process that answers the camera."""
    process = start(*command, **parameters)
    process.wait_for("active")
    camera.connect()
    return process


def check_end(process, camera, number):
    """It ends in time, says nothing bad, and leaves neither a process nor a ghost node."""
    code, seconds = process.end(number)
    assert code == 0, process.output
    assert seconds < LIMIT_S
    assert "Traceback" not in process.output
    assert process.session() == []
    # On a machine that is busy with other things its patience may end before the node's thread.
    leave_s = LEASE_S if "until its DDS lease is over" in process.output else LEAVE_S
    camera.wait(
        lambda: "amodal_perception" not in camera.node.get_node_names(), "the leave", leave_s
    )


@pytest.mark.parametrize("number", SIGNALS)
def test_in_a_burst_of_frames(start, camera, number):
    process = running(start, camera)
    for _ in range(60):
        camera.send(picture(), [BOX])
    check_end(process, camera, number)


@pytest.mark.parametrize("number", SIGNALS)
def test_in_an_engine_call_of_many_seconds(start, camera, number):
    process = running(start, camera)
    process.tell("delay 30")
    camera.send(picture(), [BOX])
    camera.spin_for(0.5)
    check_end(process, camera, number)


def test_in_a_service_call_of_many_seconds(start, camera):
    process = running(start, camera)
    process.tell("delay 30")
    client = camera.node.create_client(SegmentAmodal, "amodal_perception/segment")
    camera.wait(client.service_is_ready, "the service")
    image = image_message(picture(), camera.header())
    client.call_async(SegmentAmodal.Request(image=image, boxes_xyxy=list(BOX)))
    camera.spin_for(0.5)
    check_end(process, camera, signal.SIGTERM)


def test_again_and_again_while_it_ends(start, camera):
    process = running(start, camera)
    process.tell("delay 30")
    camera.send(picture(), [BOX])
    camera.spin_for(0.3)
    started = time.monotonic()
    while process.popen.poll() is None:
        process.popen.send_signal(signal.SIGINT)
        process.popen.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        assert time.monotonic() - started < LIMIT_S
    assert process.popen.returncode == 0, process.output
    assert process.session() == []


def test_before_it_is_up(start):
    process = start()
    deadline = time.monotonic() + START_S
    while "model loaded" not in process.output and time.monotonic() < deadline:
        time.sleep(0.005)
    code, seconds = process.end(signal.SIGTERM)
    assert code == 0, process.output
    assert seconds < LIMIT_S
    assert process.session() == []


def test_the_real_engine_is_interrupted(start, camera):
    process = running(start, camera, "-m", REAL_NODE, threads=1)
    for _ in range(3):
        camera.send(picture(720, 1280), [(100 * n, 50, 100 * n + 200, 500) for n in range(8)])
        camera.spin_for(0.1)
    check_end(process, camera, signal.SIGTERM)
