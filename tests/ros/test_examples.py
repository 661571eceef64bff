# SPDX-License-Identifier: Apache-2.0
"""The subscriber examples decode real messages.

The wheels have no rclcpp: there the C++ example's decoder is compiled against the generated
message headers and fed with serialised messages. Where rclcpp is installed, the example itself is
built and run as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from amodal_msgs.msg import AmodalMaskArray
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from amodal_ros.image.cropped import CroppedMask
from amodal_ros.ros.convert.masks import encode_masks
from amodal_ros.ros.outputs.printer import lines
from amodal_ros.tracking.tracker import TrackedObject
from tests.ros.ros_rig import START_S

ROOT = Path(__file__).parents[2]
IMAGE_HW = (60, 80)
PREFIXES = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p]
CUP_HIDDEN = " (67% by track 5 board, 33% by something unknown)"
ALL_UNKNOWN = " (100% by something unknown)"
EXPECTED = [
    f"track 3 cup at (10, 20): 600 px, 300 visible, 50% hidden{CUP_HIDDEN}",
    f"track 7 ? at (70, 50): 100 px, 0 visible, 100% hidden{ALL_UNKNOWN}",
    "track 5 board at (10, 35): 200 px, 200 visible, 0% hidden",
]


def message() -> AmodalMaskArray:
    """A cup whose lower half is hidden by a board and a hand, and something hidden wholly."""

    def mask(rows: slice, columns: slice) -> CroppedMask:
        full = np.zeros(IMAGE_HW, bool)
        full[rows, columns] = True
        return CroppedMask.of(full)

    nothing = CroppedMask.empty(IMAGE_HW)
    cup, hidden = mask(slice(20, 50), slice(10, 30)), mask(slice(50, 60), slice(70, 80))
    upper = mask(slice(20, 35), slice(10, 30))
    board = mask(slice(35, 45), slice(10, 30))
    objects = [
        TrackedObject(3, "cup", "", 1.0, 0.9, False, upper, cup),
        TrackedObject(7, "", "", 1.0, 0.9, True, nothing, hidden),
        TrackedObject(5, "board", "", 1.0, 0.9, False, board, board),
    ]
    return encode_masks(objects, Header(frame_id="camera"), IMAGE_HW).message


def has_package(name: str) -> bool:
    index = Path("share/ament_index/resource_index/packages")
    return any((prefix / index / name).is_file() for prefix in PREFIXES)


def check_output(
    command: list[str],
    make_node,
    tmp_path: Path,
    expected: list[str] = EXPECTED,
    end: int = signal.SIGINT,
) -> None:
    """Publish until the subscriber has written a message's lines."""
    publisher = make_node().create_publisher(AmodalMaskArray, "amodal/masks", 10)
    log = tmp_path / "output.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_S
        while expected[-1] not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            publisher.publish(message())
            time.sleep(0.1)
        process.send_signal(end)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    written = log.read_text().splitlines()
    assert written[: len(expected)] == expected
    assert set(written) == set(expected), "no traceback at its end"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_python_example(make_node, tmp_path, end):
    command = [sys.executable, str(ROOT / "examples" / "mask_subscriber.py")]
    check_output(command, make_node, tmp_path, end=end)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_printer(make_node, tmp_path, end):
    """`ros2 run amodal_ros amodal_masks`: a line per object."""
    code = "import sys; from amodal_ros.ros.node.executables import masks; sys.exit(masks())"
    expected = [
        "0.000000000 track 3 cup: 20x30 px at (10, 20), whole 600 px, visible 300 px, 50% hidden"
        f"{CUP_HIDDEN}",
        "0.000000000 track 7 ?: 10x10 px at (70, 50), whole 100 px, visible 0 px, 100% hidden"
        f"{ALL_UNKNOWN}, not seen by the detector",
        "0.000000000 track 5 board: 20x10 px at (10, 35), whole 200 px, visible 200 px, 0% hidden",
    ]
    check_output([sys.executable, "-c", code], make_node, tmp_path, expected, end)


def test_the_printer_says_what_it_cannot_read_and_where_nothing_is():
    broken = message()
    broken.masks[0].mask.data = broken.masks[0].mask.data[:-1]
    broken.masks[1].occluder_indices, broken.masks[1].occluder_shares = [9], [0.5]
    broken.cycle_indices, broken.cycle_sizes = [2, 0], [2]
    first, second, _, cycle = lines(broken)
    assert "track 3 cup: not to be decoded: " in first
    assert "track 7 ?: 10x10 px" in second
    assert "50% by object 9, which is not there" in second
    assert cycle == "0.000000000 hide one another: track 5 board, track 3 cup"
    assert list(lines(AmodalMaskArray(header=Header()))) == ["0.000000000 no object"]


def test_the_cpp_decoder_reads_what_python_wrote(tmp_path):
    program = tmp_path / "decode_cdr"
    # Packages install their headers in a folder of their own, older ones in the common one.
    includes = [path for p in PREFIXES for path in (p / "include", *(p / "include").glob("*/"))]
    libraries = [prefix / "lib" for prefix in PREFIXES]
    names = ["amodal_msgs__rosidl_typesupport_cpp", "rmw_fastrtps_cpp", "rmw", "rcutils"]
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", f"-I{ROOT / 'examples' / 'cpp'}"]
    command += [f"-isystem{path}" for path in includes]
    command += [str(ROOT / "tests" / "ros" / "convert" / "decode_cdr.cpp"), "-o", str(program)]
    command += [f"-L{path}" for path in libraries] + [f"-Wl,-rpath,{path}" for path in libraries]
    command += ["-Wl,--allow-shlib-undefined", *(f"-l{name}" for name in names)]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr[-4000:]
    assert "warning" not in compiled.stderr
    sent = message()
    decoded = subprocess.run([program], input=serialize_message(sent), capture_output=True)
    assert decoded.returncode == 0, decoded.stderr
    for line, mask in zip(decoded.stdout.decode().splitlines(), sent.masks, strict=True):
        track_id, height, width, rest = line.split(" ", 3)
        digits, separator, hidden_by = rest.partition(" ")
        expected = {3: CUP_HIDDEN, 7: ALL_UNKNOWN, 5: ""}
        assert separator + hidden_by == expected[mask.track_id]
        picture = np.frombuffer(mask.mask.data, np.uint8)
        shape = (mask.amodal_box.height, mask.amodal_box.width)
        assert (int(track_id), int(height), int(width)) == (mask.track_id, *shape)
        found = np.array(list(digits), int)
        np.testing.assert_array_equal(found > 0, picture > 0)
        np.testing.assert_array_equal(found == 2, picture == 255)


if has_package("rclcpp"):

    @pytest.mark.slow
    def test_the_cpp_example(make_node, tmp_path):
        colcon = ["colcon", "--log-base", "log", "build"]
        colcon += ["--base-paths", str(ROOT / "examples" / "cpp")]
        subprocess.run(colcon, cwd=tmp_path, check=True)
        installed = tmp_path / "install" / "amodal_examples" / "lib" / "amodal_examples"
        check_output([str(installed / "mask_subscriber")], make_node, tmp_path)
