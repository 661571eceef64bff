# SPDX-License-Identifier: Apache-2.0
"""Opens a recording: an MCAP file, a rosbag2 database (`.db3`), or a rosbag2 folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.bag.storage import SALVAGE, BagMessage, BagTopic, Storage, WholeStorage

SUFFIXES = tuple(SALVAGE)
_METADATA = "metadata.yaml"
Read = TypeVar("Read")


class DamagedBagError(InvalidInputError):
    """A recording cannot be read to its end; `Bag.salvage` reads what there is."""


def is_bag(path: Path) -> bool:
    """Whether a path looks like a recording: by its suffix, or a folder by what it holds."""
    if path.is_dir():
        return (path / _METADATA).is_file() or bool(_files(path))
    return path.suffix.lower() in SUFFIXES


class Bag:
    """A recording, open for reading; use as a context manager.

    What is damaged is read as far as possible, and `damage` says so.

    Args:
        path: a file that ends in `.mcap` or `.db3`, or a folder of rosbag2.

    Raises:
        InvalidInputError: nothing of it can be read, or the library that reads it is missing.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise InvalidInputError(f"recording {path} does not exist")
        if not is_bag(path):
            raise InvalidInputError(
                f"{path} is no recording: expected a file ending in {' or '.join(SUFFIXES)}, or a "
                f"folder of rosbag2 that holds {_METADATA}"
            )
        _check_libraries()
        self.path = path
        self._storages: list[Storage] = []
        try:
            self._storages = [WholeStorage(path)]
        except Exception as error:  # the libraries raise many kinds on damaged bytes
            self._salvage(error)

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def topics(self) -> tuple[BagTopic, ...]:
        """All topics, by name; a recording of several files has each once."""
        found: dict[str, BagTopic] = {}
        for topic in (topic for storage in self._storages for topic in storage.topics):
            before = found[topic.name].count if topic.name in found else 0
            found[topic.name] = replace(topic, count=before + topic.count)
        return tuple(found[name] for name in sorted(found))

    @property
    def damage(self) -> str:
        """What is wrong with the recording, in words; empty: nothing was found."""
        return "; ".join(storage.damage for storage in self._storages if storage.damage)

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages of some topics, by their time of reception.

        Raises:
            DamagedBagError: the file turns out to be damaged.
        """
        for storage in self._storages:
            try:
                yield from storage.messages(topics)
            except Exception as error:  # see above
                raise DamagedBagError(f"{self.path} is damaged: {error}") from error

    def salvage(self) -> None:
        """Reads, from now on, what is whole of a damaged recording.

        Raises:
            InvalidInputError: that is nothing.
        """
        self._salvage(None)

    def salvaged(self, read: Callable[[], Read]) -> Read:
        """What `read` gives; if the recording turns out damaged, what it gives after `salvage`.

        Raises:
            InvalidInputError: nothing can be read.
        """
        try:
            return read()
        except DamagedBagError:
            self.salvage()
            return read()

    def close(self) -> None:
        """Closes the files; can be called twice."""
        for storage in self._storages:
            storage.close()
        self._storages = []

    def _salvage(self, error: Exception | None) -> None:
        self.close()
        files = _files(self.path) if self.path.is_dir() else [self.path]
        for file in files:
            try:
                # Of a folder without its metadata each file may still be whole.
                self._storages.append(_open_file(file, whole=error is not None))
            except Exception as wrong:  # see above
                error = error or wrong
        if not any(topic.count for topic in self.topics):
            reason = " ".join(str(error).split()) if error else "it holds no message"
            raise InvalidInputError(f"nothing can be read of recording {self.path}: {reason}")


def _open_file(file: Path, whole: bool) -> Storage:
    if whole:
        try:
            return WholeStorage(file)
        except Exception:  # what it holds is looked for by other means
            pass
    return SALVAGE[file.suffix.lower()](file)


def _files(folder: Path) -> list[Path]:
    """The storage files of a folder, `bag_2` before `bag_10`."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    return sorted(files, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])


def _check_libraries() -> None:
    try:
        import mcap_ros2  # noqa: F401
        import rosbags  # noqa: F401
    except ImportError as error:
        raise InvalidInputError(
            f"recordings need the packages rosbags and mcap-ros2-support ({error}): pip install "
            '"amodal_ros[bags]"'
        ) from error
