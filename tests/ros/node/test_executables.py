# SPDX-License-Identifier: Apache-2.0
"""Entry points of the executables: they exist, and a signal during their imports is quiet."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENTRIES = ("perception", "masks", "demo_camera", "demo_recorder")


def test_every_executable_has_its_function():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].split("\n")
    places = [line.partition(" = ")[2] for line in lines if line]
    assert {f"amodal_ros.ros.node.executables:{entry}" for entry in ENTRIES} < set(places)
    for place in places:
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_signal_during_the_imports_ends_it_without_a_word(tmp_path, entry, number):
    # All of them need OpenCV; this one takes its time.
    (tmp_path / "cv2.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)")
    code = f"import sys; from amodal_ros.ros.node.executables import {entry}; sys.exit({entry}())"
    path = os.pathsep.join((str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
