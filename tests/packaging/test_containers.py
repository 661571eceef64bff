# SPDX-License-Identifier: Apache-2.0
"""Dockerfiles and the CI matrix name files, keys and executables that exist."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

DOCKERFILES = ("docker/ros.Dockerfile", "docker/jetson.Dockerfile")
WORKFLOW = ".github/workflows/ci.yml"
CHECKOUT = "src/amodal_ros/"  # where the Dockerfiles put it


def keys(root: Path, *files: str) -> set[str]:
    elements = [e for file in files for e in ElementTree.parse(root / file).getroot()]
    return {e.text for e in elements if e.tag.endswith("depend") and e.text}


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_an_image_copies_exists(repository_root: Path, dockerfile: str) -> None:
    text = (repository_root / dockerfile).read_text(encoding="utf-8")
    sources = re.findall(r"^COPY (\S+) \S+$", text, flags=re.MULTILINE)
    assert "." in sources
    used = re.findall(rf"{CHECKOUT}(\S+\.sh)", text)
    assert used == ["docker/entrypoint.sh"]
    for source in (*sources, *used):
        assert (repository_root / source).exists(), source
    ignored = (repository_root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    tops = {source.partition("/")[0] for source in (*sources, *used)}
    assert not tops & set(ignored)
    # The package's own layers come last: a changed line of code installs nothing anew.
    assert text.index("rosdep install") < text.index("COPY . ")


def test_keys_that_a_jetson_skips_are_keys_of_the_package(repository_root: Path) -> None:
    declared = keys(repository_root, "package.xml")
    for file in ("docker/jetson.Dockerfile", "docs/jetson.md"):
        text = (repository_root / file).read_text(encoding="utf-8")
        (skipped,) = re.findall(r'--skip-keys "([^"]+)"', text)
        assert set(skipped.split()) <= declared
        for key in skipped.split():  # and pip brings them instead
            module = key.removeprefix("python3-").removesuffix("-pip")
            assert re.search(rf"pip3 install[^&]*{module}", text), (file, key)


def test_the_matrix_runs_what_exists(repository_root: Path) -> None:
    jobs = yaml.safe_load((repository_root / WORKFLOW).read_text(encoding="utf-8"))["jobs"]
    assert set(jobs["distros"]["strategy"]["matrix"]["distro"]) >= {"humble", "jazzy"}
    lines = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    for path in ("scripts/test", "docker/constraints.txt", "docker/ros.Dockerfile", "tests/ros"):
        assert path in lines
        assert (repository_root / path).exists()
    for path in re.findall(r"--(?:from|base)-paths ([^-\n]+)", lines):
        for folder in path.split():
            assert (repository_root / folder / "package.xml").is_file(), folder
    setup = ConfigParser()
    setup.read(repository_root / "setup.cfg", encoding="utf-8")
    executables = setup["options.entry_points"]["console_scripts"]
    for name in re.findall(r"ros2 run amodal_ros (\w+)", lines):
        assert f"\n{name} = " in executables
    # What the test of the image waits for is what the node says.
    (said,) = re.findall(r'grep "([^"]+)" node.log', lines)
    camera = (repository_root / "amodal_ros" / "ros" / "camera.py").read_text(encoding="utf-8")
    assert said in camera
