# SPDX-License-Identifier: Apache-2.0
"""Dockerfiles and the CI matrix name files, keys and executables that exist."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from packaging.requirements import Requirement

JETSONS = ("docker/jetson.Dockerfile", "docker/jetson7.Dockerfile")
DOCKERFILES = ("docker/ros.Dockerfile", *JETSONS)
DISTRIBUTIONS = ["humble", "jazzy", "kilted", "lyrical"]
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
    for file in (*JETSONS, "docs/jetson.md"):
        text = (repository_root / file).read_text(encoding="utf-8")
        (skipped,) = re.findall(r'--skip-keys "([^"]+)"', text)
        assert set(skipped.split()) <= declared
        for key in skipped.split():  # and pip brings them instead
            module = key.removeprefix("python3-").removesuffix("-pip")
            assert re.search(rf"pip3 install[^&]*{module}", text), (file, key)


def test_the_matrix_runs_what_exists(repository_root: Path) -> None:
    jobs = yaml.safe_load((repository_root / WORKFLOW).read_text(encoding="utf-8"))["jobs"]
    for job in ("distros", "images"):
        assert jobs[job]["strategy"]["matrix"]["distro"] == DISTRIBUTIONS
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
    camera = (repository_root / "amodal_ros" / "ros" / "node" / "camera.py").read_text(
        encoding="utf-8"
    )
    assert said in camera


# What the distributions' own packages are compiled against.
NUMPY = {"3.10": "1.21.5", "3.12": "1.26.4", "3.14": "2.3.4"}


@pytest.mark.parametrize("python", NUMPY)
@pytest.mark.parametrize(
    "file", ["docker/constraints.txt", "scripts/requirements/constraints-sourced-ros.txt"]
)
def test_constraints_keep_each_distributions_numpy(
    repository_root: Path, file: str, python: str
) -> None:
    """Humble, Jazzy and Kilted, Lyrical: by the Python that they have."""
    lines = (repository_root / file).read_text(encoding="utf-8").splitlines()
    rules = [Requirement(line) for line in lines if line and not line.startswith("#")]
    numpy = [
        rule
        for rule in rules
        if rule.name == "numpy"
        and (rule.marker is None or rule.marker.evaluate({"python_version": python}))
    ]
    assert all(rule.specifier.contains(NUMPY[python]) for rule in numpy)
    if python != "3.14":
        assert any(not rule.specifier.contains("2.0") for rule in numpy)


def test_a_jetson_of_each_jetpack_has_its_cuda(repository_root: Path) -> None:
    for file, distribution, cuda in zip(JETSONS, ("humble", "jazzy"), ("12", "13"), strict=True):
        text = (repository_root / file).read_text(encoding="utf-8")
        assert f"ROS_DISTRO={distribution}" in text
        assert set(re.findall(r"ros-(\w+)-ros-base|/opt/ros/(\w+)/", text)) == {
            (distribution, ""),
            ("", distribution),
        }
        assert re.search(rf'"cuda-python>={cuda}', text)
        assert f"-f {file} " in text
