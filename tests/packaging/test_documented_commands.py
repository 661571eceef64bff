# SPDX-License-Identifier: Apache-2.0
"""Every command in README and docs is one that exists, with arguments that it takes.

Commands of this project are parsed by their own parsers and stop there; of others, what they name
of this project is looked up.
"""

from __future__ import annotations

import argparse
import configparser
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
# What starts a command of this project, or one that names something of it.
OURS = re.compile(
    r"^(?:\w+=\S+ )*(?:scripts/\S+|python3? (?:-m|\w+/\S+\.py)|torchrun|ros2|colcon|rosdep|docker"
    r"|pip3? install)\b"
)
INLINE = re.compile(r"`((?:scripts/|python3? |ros2 |colcon |docker |rosdep |pip3? install)[^`]+)`")


def written(document: Path) -> Iterator[str]:
    """Lines of code blocks, continued ones joined, and commands within sentences."""
    fenced, before = False, ""
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            text = before + line.strip()
            before = f"{text[:-1].rstrip()} " if text.endswith("\\") else ""
            if not before:
                yield text
        else:
            yield from INLINE.findall(line)


def commands() -> Iterator[tuple[str, str]]:
    """Document and command; a line may hold several, and a remark."""
    for document in DOCUMENTS:
        for line in written(document):
            for part in re.split(r"\s+&&\s+|\s+\|\s+", line):
                text = re.sub(r"\s+#.*$", "", part).strip()
                if OURS.match(text):
                    yield document.relative_to(ROOT).as_posix(), text


class Parsed(Exception):  # noqa: N818
    """A parser has taken its command line."""


class RequiredError(AssertionError):
    """A parser misses an argument."""


@pytest.fixture
def stop_after_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def stop(self, args=None, namespace=None):
        parse(self, args, namespace)
        raise Parsed

    def report(self, message):
        raise (RequiredError if "arguments are required" in message else AssertionError)(message)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(argparse.ArgumentParser, "error", report)


def check_python(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """`-m module arguments` or `file.py arguments`, as the interpreter takes them."""
    if words[0] == "-m" and len(words) == 2 and words[1].endswith("…"):
        assert (ROOT / words[1].strip(".…")).is_dir()  # a whole package's commands
        return
    if words[:2] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in words[2:] if not word.startswith("-"))
        return
    name, arguments = (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])
    if name.startswith("examples/"):
        assert (ROOT / name).is_file()  # without arguments; tests/ros/test_examples.py runs it
        return
    given = [word for word in arguments if "…" not in word and word != "..."]
    numbers = {"FULL": "80", "OCC": "20"}  # placeholders where a number is wanted
    patch.setattr(sys, "argv", [name, *(numbers.get(word, word) for word in given)])
    try:
        if words[0] == "-m":
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(ROOT / name), run_name="__main__")
    except Parsed:
        return
    except RequiredError:
        if given and given == arguments:
            raise  # neither a command's name in a sentence nor one with an ellipsis
        return
    raise AssertionError(f"{name} has no parser")


def check_script(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """A program of scripts/: it is there, and its --help knows the options."""
    script = ROOT / words[0]
    assert script.stat().st_mode & 0o111, words[0]
    options = [word for word in words[1:] if word.startswith("--") and word != "--help"]
    if options:
        helped = subprocess.run(
            [str(script), "--help"], capture_output=True, text=True, check=True, timeout=60
        )
        assert not [option for option in options if option not in helped.stdout]


def launch_arguments() -> set[str]:
    """Names that the launch files declare; parameters are arguments of perception.launch.py."""
    from amodal_ros.ros.parameters.table import PARAMETERS

    text = "".join(
        (ROOT / "launch" / f"{name}.launch.py").read_text(encoding="utf-8")
        for name in ("perception", "robot")
    )
    return {spec.name for spec in PARAMETERS} | set(re.findall(r'"([a-z_]+)"', text))


def check_ros2(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """Launch files and their arguments, executables, services, topics, nodes."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    verb = words[0]
    if verb == "launch" and len(words) > 1:
        assert words[1] == "amodal_ros"
        assert (ROOT / "launch" / words[2]).is_file()
        given = {word.partition(":=")[0] for word in words[3:] if ":=" in word}
        assert given <= launch_arguments()
    elif verb == "run" and words[1] == "amodal_ros":
        scripts = setup["options.entry_points"]["console_scripts"]
        assert f"\n{words[2]} = " in scripts
    elif verb == "run":
        assert words[1] in {"amodal_examples", "rqt_image_view", "rmw_zenoh_cpp"}
    elif verb == "bag":
        assert words[1] in {"play", "record"}
    elif verb == "service":
        name, kind = words[2], words[3]
        if name.startswith("/yolo/"):  # of yolo_ros
            return
        assert name.startswith("/amodal_perception/")
        short = name.rpartition("/")[2]
        source = ROOT / "amodal_ros" / "ros" / "node" / "services.py"
        assert re.search(rf"['\"/]{short}['\"]", source.read_text(encoding="utf-8")), name
        package, _, message = kind.partition("/srv/")
        assert package == "std_srvs" or (ROOT / "msg" / "srv" / f"{message}.srv").is_file()
    elif verb in {"topic", "param", "lifecycle"}:
        for word in words[2:]:
            known = r"/amodal_perception|/amodal/[\w]+|--no-arr|configure|activate"
            assert re.fullmatch(known, word) or verb == "param", word
    else:
        assert verb == "launch", words


def check_paths(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """colcon, rosdep, docker, pip: folders, files, extras and lists of ours."""
    for word in words:
        place = re.sub(r"^(?:\$PWD/)?src/amodal_ros/?", "./", word)
        if place != word or re.match(r"(?:docker|requirements)/", word):
            assert (ROOT / place).exists(), word
        extra = re.fullmatch(r"\.\[(\w+)\]", word)
        if extra:
            setup = configparser.ConfigParser()
            setup.read(ROOT / "setup.cfg", encoding="utf-8")
            assert extra[1] in setup["options.extras_require"]


def check(command: str, patch: pytest.MonkeyPatch) -> None:
    """Checks a command by what it starts with."""
    words = [word for word in shlex.split(command.replace("[key=value …]", "model.gain=1"))]
    while re.match(r"\w+=", words[0]):
        words.pop(0)
    program = words.pop(0)
    if program.startswith("scripts/"):
        check_script([program, *words], patch)
    elif program in {"python", "python3"}:
        check_python(words, patch)
    elif program == "torchrun":
        check_python(words[words.index("-m") :], patch)
    elif program == "ros2":
        check_ros2(words, patch)
    else:
        check_paths(words, patch)


@pytest.mark.usefixtures("stop_after_parsing")
@pytest.mark.parametrize(("document", "command"), dict.fromkeys(commands()))
def test_the_command_is_taken(
    document: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    check(command, monkeypatch)


@pytest.mark.usefixtures("stop_after_parsing")
@pytest.mark.parametrize(
    "command",
    [
        "python export/to_trt.py --modle x",
        "python -m benchmarks.nothing",
        "python export/nothing.py",
        "scripts/demo --sauce video.mp4",
        "scripts/nothing",
        "ros2 launch amodal_ros perception.launch.py image:=/camera",
        "ros2 launch amodal_ros nothing.launch.py",
        "ros2 run amodal_ros amodal_nothing",
        "ros2 service call /amodal_perception/nothing std_srvs/srv/Trigger",
        "ros2 topic echo /nothing",
        "colcon build --base-paths src/amodal_ros/nothing",
        'pip install -e ".[nothing]"',
    ],
)
def test_a_command_that_is_none_is_found(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises((AssertionError, ImportError, OSError, pytest.fail.Exception)):
        check(command, monkeypatch)


@pytest.mark.usefixtures("stop_after_parsing")
@pytest.mark.parametrize(
    "command",
    [
        "python export/to_onnx.py",
        "python export/to_trt.py",
        "python export/benchmark.py",
        "python -m amodal_ros.verify",
        "python -m benchmarks.model_family",
        "python -m benchmarks.soak",
        "python -m benchmarks.tensorrt_builds",
        "python -m benchmarks.training",
    ],
)
def test_what_has_an_obvious_default_needs_no_arguments(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    check(command, monkeypatch)
