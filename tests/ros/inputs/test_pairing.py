# SPDX-License-Identifier: Apache-2.0
"""Which image meets which detections, and what becomes of those that meet nobody."""

from __future__ import annotations

import pytest

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.inputs.pairing import FramePairer, PairerConfig
from amodal_ros.ros.watch.faults import Fault, FaultLog

MS = 1_000_000
T0 = 1_700_000_000_000_000_000


class Rig:
    """A pairer whose messages are named after their stamp in ms."""

    def __init__(self, **config):
        self.warnings: list[str] = []
        self.log = FaultLog(self.warnings.append, period_s=0.0)
        self.pairer: FramePairer[str, str] = FramePairer(PairerConfig(**config), self.log)

    def image(self, ms, now_s=0.0):
        return self._answer(self.pairer.add_image(T0 + ms * MS, f"image {ms}", now_s))

    def detections(self, ms, now_s=0.0):
        return self._answer(self.pairer.add_detections(T0 + ms * MS, f"boxes {ms}", now_s))

    def count(self, fault):
        return self.log.counts()[fault.value]

    @staticmethod
    def _answer(pair):
        return None if pair is None else (pair.image, pair.detections)


@pytest.mark.parametrize("first", ["image", "detections"])
def test_exact_stamps_meet_in_either_order(first):
    rig = Rig()
    second = {"image": "detections", "detections": "image"}[first]
    assert getattr(rig, first)(10) is None
    assert getattr(rig, second)(10) == ("image 10", "boxes 10")
    assert not rig.warnings


def test_the_pair_tells_stamp_and_reception_of_its_image():
    rig = Rig()
    rig.pairer.add_image(T0, "image", now_s=4.5)
    pair = rig.pairer.add_detections(T0, "boxes", now_s=4.75)
    assert pair is not None
    assert (pair.stamp_ns, pair.image_received_s) == (T0, 4.5)


def test_without_slop_a_nanosecond_keeps_apart():
    rig = Rig()
    rig.image(10)
    assert rig.pairer.add_detections(T0 + 10 * MS + 1, "boxes", 0.0) is None


def test_slop_takes_the_nearest():
    rig = Rig(slop_ns=15 * MS)
    for ms in (0, 10, 30):
        rig.image(ms)
    assert rig.detections(18) == ("image 10", "boxes 18")


def test_slop_prefers_the_exact_stamp_and_of_equals_the_newer():
    rig = Rig(slop_ns=15 * MS)
    for ms in (0, 10, 20):
        rig.image(ms)
    assert rig.detections(15) == ("image 20", "boxes 15")
    assert rig.detections(0) is None  # image 0 is older than the pair just made
    assert rig.count(Fault.OUT_OF_ORDER) == 1


def test_slop_is_a_limit():
    rig = Rig(slop_ns=15 * MS)
    rig.image(0)
    assert rig.detections(16) is None
    assert rig.image(31) == ("image 31", "boxes 16")


def test_one_to_one():
    rig = Rig(slop_ns=5 * MS)
    rig.image(10)
    assert rig.detections(10) is not None
    assert rig.detections(11) is None
    assert rig.image(12) == ("image 12", "boxes 11")


def test_detections_late_by_several_images():
    rig = Rig()
    for ms in range(0, 300, 33):
        rig.image(ms)
    assert rig.detections(66) == ("image 66", "boxes 66")
    assert rig.detections(132) == ("image 132", "boxes 132")


def test_out_of_order_arrival_still_pairs():
    rig = Rig()
    rig.image(33)
    rig.image(0)
    assert rig.detections(0) == ("image 0", "boxes 0")
    assert rig.detections(33) == ("image 33", "boxes 33")


def test_a_pair_older_than_the_last_is_dropped():
    rig = Rig()
    rig.image(0)
    rig.image(33)
    assert rig.detections(33) is not None
    assert rig.detections(0) is None
    assert rig.count(Fault.OUT_OF_ORDER) == 1


def test_duplicates_are_answered_once():
    rig = Rig()
    rig.image(0)
    rig.image(0)
    assert rig.detections(0) is not None
    assert rig.detections(0) is None
    assert rig.image(0) is None
    assert rig.count(Fault.DUPLICATE) == 3


def test_duplicate_detections_that_still_wait():
    rig = Rig()
    rig.detections(0)
    rig.detections(0)
    assert rig.count(Fault.DUPLICATE) == 1
    assert rig.image(0) == ("image 0", "boxes 0")


def test_detections_that_never_find_their_image():
    rig = Rig(timeout_s=2.0)
    rig.image(0, now_s=0.0)
    rig.detections(5, now_s=1.0)
    rig.pairer.expire(2.9)
    assert not rig.warnings
    rig.pairer.expire(3.0)
    assert rig.count(Fault.DETECTIONS_WITHOUT_IMAGE) == 1
    (warning,) = rig.warnings
    assert "1700000000.005000000 found no image within 2 s" in warning
    assert "the nearest image has 1700000000.000000000, 5 ms earlier" in warning
    assert "slop:=0.01" in warning
    assert rig.image(5, now_s=3.1) is None


def test_boxes_that_never_meet_an_image_are_an_alarm_until_they_do():
    rig = Rig(timeout_s=1.0)
    for index in range(6):
        rig.image(100 * index, now_s=0.1 * index)
        rig.detections(100 * index + 50, now_s=0.1 * index)
    rig.pairer.expire(1.35)
    assert rig.log.alarms() == ()
    rig.pairer.expire(1.45)
    ((fault, text),) = rig.log.alarms()
    assert fault is Fault.NEVER_PAIRED
    assert "the nearest image has 1700000000.400000000, 50 ms earlier" in text
    assert "slop:=0.05" in text
    rig.image(700, now_s=1.6)
    assert rig.detections(700, now_s=1.6) is not None
    assert rig.log.alarms() == ()


def test_a_detector_of_more_images_than_the_cameras_raises_no_alarm():
    rig = Rig(timeout_s=1.0)
    for index in range(60):
        if index % 10 == 0:
            rig.image(10 * index, now_s=0.01 * index)
        rig.detections(10 * index, now_s=0.01 * index)
    rig.pairer.expire(1.59)
    assert rig.count(Fault.DETECTIONS_WITHOUT_IMAGE) > 40
    assert rig.count(Fault.NEVER_PAIRED) == 0


def test_boxes_of_another_clock_are_told_so():
    rig = Rig(timeout_s=1.0)
    rig.image(0, now_s=0.0)
    rig.detections(-3_000_000, now_s=0.0)
    rig.pairer.expire(2.0)
    assert "3000.0 s later" in rig.warnings[0]
    assert "another clock" in rig.warnings[0]


def test_detections_without_any_image_say_so():
    rig = Rig(timeout_s=1.0)
    rig.detections(0, now_s=0.0)
    rig.detections(33, now_s=5.0)
    assert "no image has come yet" in rig.warnings[0]


def test_images_without_detections_are_bounded_and_counted():
    rig = Rig(queue_size=3)
    for ms in range(0, 1000, 10):
        rig.image(ms)
    assert rig.count(Fault.IMAGE_WITHOUT_DETECTIONS) == 97
    assert rig.detections(960) is None
    assert rig.detections(970) is not None


def test_detections_without_images_are_bounded_and_counted():
    rig = Rig(queue_size=3, timeout_s=1e6)
    for ms in range(0, 1000, 10):
        rig.detections(ms)
    assert rig.count(Fault.DETECTIONS_WITHOUT_IMAGE) == 97
    assert rig.image(960) is None
    assert rig.image(970) is not None


def test_zero_stamps_are_refused_with_the_reason():
    rig = Rig()
    assert rig.pairer.add_image(0, "image", 0.0) is None
    assert rig.pairer.add_detections(0, "boxes", 0.0) is None
    assert rig.count(Fault.UNSTAMPED) == 2
    assert "driver must stamp" in rig.warnings[0]
    assert "copy the image's header" in rig.warnings[1]


def test_a_bag_that_starts_again():
    rig = Rig()
    for ms in range(0, 5000, 500):
        rig.image(ms)
        assert rig.detections(ms) is not None
    for ms in range(0, 5000, 500):
        rig.image(ms)
        assert rig.detections(ms) == (f"image {ms}", f"boxes {ms}")
    assert rig.count(Fault.TIME_JUMP) == 1
    assert rig.count(Fault.DUPLICATE) == 0


def test_a_bag_shorter_than_the_allowed_disorder_goes_on_after_two_frames():
    rig = Rig()
    stamps = range(0, 300, 33)
    answers = []
    for ms in (*stamps, *stamps):
        rig.image(ms)
        answers.append(rig.detections(ms))
    second_round = answers[len(stamps) :]
    assert second_round[:2] == [None, None]
    assert all(second_round[2:])


def test_a_late_image_does_not_start_anew():
    rig = Rig()
    rig.image(33)
    rig.detections(66)
    rig.image(0)
    assert rig.count(Fault.TIME_JUMP) == 0
    assert rig.image(66) == ("image 66", "boxes 66")


def test_clear_forgets_everything():
    rig = Rig()
    rig.image(10)
    rig.detections(20)
    rig.pairer.clear()
    assert rig.detections(10) is None
    assert rig.image(20) is None


@pytest.mark.parametrize("wrong", [{"slop_ns": -1}, {"queue_size": 0}, {"timeout_s": 0.0}])
def test_config_refuses(wrong):
    with pytest.raises(InvalidInputError, match="expected slop_ns >= 0"):
        PairerConfig(**wrong)
