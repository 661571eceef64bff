# SPDX-License-Identifier: Apache-2.0
"""The package's metadata agree with one another and with the tree."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import amodal_ros
from scripts.release_notes import release_notes

LICENCE_LINE = "# SPDX-License-Identifier: Apache-2.0"


@pytest.fixture(scope="module")
def setup_cfg(repository_root: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(repository_root / "setup.cfg", encoding="utf-8")
    return parser


def version_of(package_xml: Path) -> str | None:
    return ElementTree.parse(package_xml).getroot().findtext("version")


def setup_query(root: Path, question: str) -> str:
    command = [sys.executable, "-W", "ignore", "setup.py", "-q", question]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return answer.stdout.strip().splitlines()[-1]


def test_one_version_everywhere(repository_root: Path) -> None:
    changelog = (repository_root / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.MULTILINE)
    found = {
        "amodal_ros": amodal_ros.__version__,
        "setup.py": setup_query(repository_root, "--version"),
        "package.xml": version_of(repository_root / "package.xml"),
        "msg/package.xml": version_of(repository_root / "msg" / "package.xml"),
        "CHANGELOG.md": released[0],
        "CITATION.cff": yaml.safe_load((repository_root / "CITATION.cff").read_text())["version"],
    }
    assert found == dict.fromkeys(found, amodal_ros.__version__)


def test_a_release_has_the_version_of_package_and_changelog(
    repository_root: Path, tmp_path: Path
) -> None:
    notes = release_notes(f"v{amodal_ros.__version__}", repository_root)
    assert notes.startswith("The whole chain from a camera image")
    assert "## [" not in notes
    (tmp_path / "amodal_ros").mkdir()
    (tmp_path / "amodal_ros" / "__init__.py").write_text('__version__ = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [0.1.0] - 2026\n\nold\n")
    with pytest.raises(ValueError, match=r"expected tag v0\.2\.0, the version of the package"):
        release_notes("v0.1.0", tmp_path)
    with pytest.raises(ValueError, match=r"expected tag v0\.1\.0, the version of the changelog"):
        release_notes("v0.2.0", tmp_path)


def test_licence_is_apache_everywhere(
    repository_root: Path, setup_cfg: configparser.ConfigParser
) -> None:
    text = (repository_root / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert setup_cfg["metadata"]["license"] == "Apache-2.0"
    for xml in (repository_root / "package.xml", repository_root / "msg" / "package.xml"):
        assert ElementTree.parse(xml).getroot().findtext("license") == "Apache-2.0"


def test_package_xml_names_every_message_package_in_use(repository_root: Path) -> None:
    declared = {
        element.text for element in ElementTree.parse(repository_root / "package.xml").getroot()
    }
    imported = set()
    for file in (repository_root / "amodal_ros" / "ros").rglob("*.py"):
        pattern = r"^\s*(?:from|import) (\w+_(?:msgs|srvs|interfaces)|rclpy)\b"
        source = file.read_text(encoding="utf-8")
        imported |= set(re.findall(pattern, source, flags=re.MULTILINE))
    assert {"rclpy", "amodal_msgs", "vision_msgs", "sensor_msgs"} <= imported
    assert imported - declared == set()


def test_runtime_requirements_stay_light(setup_cfg: configparser.ConfigParser) -> None:
    required = setup_cfg["options"]["install_requires"].split()
    names = {re.split(r"[<>=!~\[;]", line)[0] for line in required}
    inference = {"numpy", "opencv-python-headless", "onnxruntime", "scipy"}
    demo = {"av", "pycocotools", "rich"}
    assert names == inference | demo


def test_extras_are_of_what_the_wheel_holds(setup_cfg: configparser.ConfigParser) -> None:
    extras = {"bags", "openvino", "torch", "sam2", "tensorrt", "tensorrt_rtx"}
    assert set(setup_cfg["options.extras_require"]) == extras


def test_every_source_file_has_its_licence_line(repository_root: Path) -> None:
    folders = ("amodal_ros", "benchmarks", "config", "export", "launch", "scripts", "tests")
    files = [f for name in (*folders, "training") for f in (repository_root / name).rglob("*.py")]
    assert len(files) > 50
    bare = [
        str(file.relative_to(repository_root))
        for file in files
        # A script that can be executed has its interpreter in the first line.
        if LICENCE_LINE not in file.read_text(encoding="utf-8").splitlines()[:2]
    ]
    assert bare == []


def test_ci_calls_scripts_test(repository_root: Path) -> None:
    script = (repository_root / ".ci" / "run").read_text(encoding="utf-8")
    assert "/../scripts/test" in script
    assert "export CI=true" in script


def test_pre_commit_runs_the_checks_of_ci(repository_root: Path) -> None:
    hooks = (repository_root / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"^ +entry: (.+)$", hooks, flags=re.MULTILINE)
    assert entries == [
        f"scripts/check {name}" for name in ("lint", "format", "types", "imports", "shell")
    ]
    assert "scripts/check" in (repository_root / "scripts" / "test").read_text(encoding="utf-8")
