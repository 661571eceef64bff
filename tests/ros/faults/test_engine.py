# SPDX-License-Identifier: Apache-2.0
"""An engine that throws once costs a frame; one that throws for ever is given up."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition

from tests.ros.faults.fault_rig import BOX
from tests.ros.ros_rig import picture

GAVE_UP_WITHIN_S = 15.0


def break_down(rig):
    """Let every engine call fail until the node has given up."""
    rig.process.tell("fail -1")
    seen = rig.process.output.count("inactive\n")

    def inactive() -> bool:
        rig.camera.send(picture(), [BOX])
        rig.camera.spin_for(0.05)
        return rig.process.output.count("inactive\n") > seen

    rig.camera.wait(inactive, "giving up", GAVE_UP_WITHIN_S)
    assert rig.state() == "inactive"
    assert rig.camera.answers == []


def test_an_engine_that_throws_once_costs_one_frame(rig):
    before = rig.counters()
    rig.process.tell("fail 1")
    lost = rig.camera.send(picture(), [BOX])
    rig.camera.spin_for(0.3)
    assert lost.stamp not in rig.answered()
    assert rig.gained(before) == {"dropped_engine_error": 1}
    assert "frame lost: BackendError: suffix failed: out of memory" in rig.process.output
    assert rig.state() == "active"


def test_now_and_then_a_failure_is_not_the_end(rig):
    before = rig.counters()

    def frame(number):
        rig.process.tell(f"fail {int(number % 3 > 0)}")
        rig.camera.send(picture(), [BOX])

    # Longer than giving up takes, two failures of three.
    numbers = rig.stream(3.0, 0.05, frame)
    rig.process.tell("fail 0")
    assert rig.gained(before)["dropped_engine_error"] > len(numbers) / 3
    assert rig.state() == "active"


def test_an_engine_that_throws_for_ever_makes_the_node_inactive(rig):
    before = rig.counters()
    break_down(rig)
    output = rig.process.output
    (line,) = [line for line in output.splitlines() if "The node becomes inactive" in line]
    assert "the engine failed on" in line
    assert "last: BackendError: suffix failed: out of memory" in line
    state = rig.camera.diagnostics("camera", lambda s: s.level == DiagnosticStatus.ERROR)
    assert "suffix failed: out of memory" in state["message"]
    # It stays so: nothing restarts it by itself.
    rig.camera.send(picture(), [BOX])
    rig.camera.spin_for(0.5)
    assert rig.state() == "inactive"
    rig.process.tell("fail 0")
    assert rig.camera.change_state(Transition.TRANSITION_ACTIVATE)
    rig.connect()
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1
    rig.camera.diagnostics("camera", lambda status: status.level != DiagnosticStatus.ERROR)
    assert rig.gained(before)["engine_gave_up"] == 1


def test_a_broken_engine_can_be_loaded_anew(rig):
    break_down(rig)
    rig.process.tell("fail 0")
    for transition in (
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        assert rig.camera.change_state(transition)
    rig.connect()
    assert len(rig.camera.ask(picture(), [BOX]).masks) == 1
    assert rig.counters()["engine_gave_up"] == 0
