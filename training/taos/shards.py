# SPDX-License-Identifier: Apache-2.0
"""WebDataset shards: plain tars, byte for byte the same for the same samples.

Written with `tarfile`, not with the `webdataset` package, because importing that imports
torch wherever torch is installed, and this path must run without; `webdataset` reads them.
Members of a sample share a key: ``000000012.image.jpg`` (occluded), ``.original.jpg``,
``.amodal.png``, ``.visible.png``, ``.occlusion.png``, ``.occluder.png``, ``.json``; frames of
a clip are ``000000012_003.image.jpg`` and so on.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
from training.taos.config import TaosConfig
from training.taos.types import TaosClip, TaosSample
from training.untrusted import MAX_FILE_BYTES, CorruptRecordError

MASKS = ("amodal", "visible", "occlusion", "occluder")


def sample_key(sample: TaosSample) -> str:
    """Key in a shard: the number of the sample, and of the frame in a clip."""
    key = f"{sample.provenance['index']:09d}"
    frame = sample.provenance.get("frame")
    return key if frame is None else f"{key}_{frame:03d}"


def encode_sample(sample: TaosSample, config: TaosConfig) -> dict[str, bytes]:
    """Files of one sample, by extension, in the order they are written."""
    suffix = config.image_format
    if suffix == "jpg":
        options = [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality]
    else:
        options = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    files = {
        f"image.{suffix}": _encode(_bgr(sample.image), suffix, options),
        f"original.{suffix}": _encode(_bgr(sample.original), suffix, options),
    }
    for name in MASKS:
        mask = getattr(sample, name).astype(np.uint8) * 255
        files[f"{name}.png"] = _encode(mask, "png", [cv2.IMWRITE_PNG_BILEVEL, 1])
    files["json"] = json.dumps(sample.provenance, sort_keys=True).encode("utf-8")
    return files


def _bgr(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)


def _encode(image: np.ndarray, suffix: str, options: list[int]) -> bytes:
    done, data = cv2.imencode(f".{suffix}", image, options)
    if not done:
        raise OSError(f"OpenCV could not encode a {image.shape} image as {suffix}")
    return data.tobytes()


class ShardWriter:
    """Writes samples into one tar with fixed metadata (no time, no owner)."""

    def __init__(self, file: BinaryIO, config: TaosConfig) -> None:
        self._config = config
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def write(self, sample: TaosSample) -> None:
        """Appends one sample."""
        key = sample_key(sample)
        for suffix, data in encode_sample(sample, self._config).items():
            info = tarfile.TarInfo(f"{key}.{suffix}")
            info.size, info.mode, info.mtime = len(data), 0o644, 0
            self._tar.addfile(info, io.BytesIO(data))

    def close(self) -> None:
        """Writes the end of the archive."""
        self._tar.close()


def samples_of(result: TaosSample | TaosClip) -> tuple[TaosSample, ...]:
    """The sample itself, or the frames of a clip."""
    return result.frames if isinstance(result, TaosClip) else (result,)


@dataclass(frozen=True)
class StoredSample:
    """Where the files of a sample lie: suffix -> (offset, size) in a shard."""

    shard: Path
    key: str
    files: dict[str, tuple[int, int]]

    def read(self) -> TaosSample:
        """Decode it.

        Raises:
            CorruptRecordError: naming the shard and the sample.
        """
        files = {}
        with self.shard.open("rb") as stream:
            for suffix, (offset, size) in self.files.items():
                stream.seek(offset)
                files[suffix] = stream.read(size)
                if len(files[suffix]) != size:
                    raise CorruptRecordError(self.shard, self.key, "damaged tar: it ends early")
        return decode_sample(self.shard, self.key, files)


def stored_samples(shard: Path) -> list[StoredSample]:
    """Samples of one shard in the order they were written; only headers are read.

    Raises:
        CorruptRecordError: naming the shard and the member.
    """
    found: dict[str, StoredSample] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                key, _, suffix = member.name.partition(".")
                if not member.isfile() or member.size > MAX_FILE_BYTES:
                    raise CorruptRecordError(shard, member.name, "expected a small regular file")
                sample = found.setdefault(key, StoredSample(shard, key, {}))
                sample.files[suffix] = (member.offset_data, member.size)
    except (tarfile.TarError, EOFError) as error:
        raise CorruptRecordError(shard, "file", f"damaged tar: {error}") from error
    return list(found.values())


def read_shard(path: Path) -> Iterator[TaosSample]:
    """Samples of one shard in the order they were written.

    Raises:
        CorruptRecordError: naming the shard and the sample.
    """
    for sample in stored_samples(path):
        yield sample.read()


def shard_files(folder: Path) -> list[Path]:
    """Finished shards of a folder, in order."""
    return sorted(folder.glob("taos-*.tar"))


def decode_sample(path: Path, key: str, files: dict[str, bytes]) -> TaosSample:
    """Decode the files of one sample, by extension.

    Raises:
        CorruptRecordError: naming the shard and the sample.
    """
    images: dict[str, np.ndarray] = {}
    for name in ("image", "original"):
        data = files.get(f"{name}.jpg", files.get(f"{name}.png"))
        images[name] = _decode(path, key, name, data, cv2.IMREAD_COLOR)[..., ::-1]
    for name in MASKS:
        data = files.get(f"{name}.png")
        images[name] = _decode(path, key, name, data, cv2.IMREAD_GRAYSCALE) > 127
    try:
        provenance: dict[str, Any] = json.loads(files["json"])
    except (KeyError, ValueError) as error:
        raise CorruptRecordError(path, key, f"expected a .json member: {error!r}") from error
    return TaosSample(
        **{name: np.ascontiguousarray(image) for name, image in images.items()},
        provenance=provenance,
    )


def _decode(path: Path, key: str, name: str, data: bytes | None, flag: int) -> np.ndarray:
    image = None if not data else cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise CorruptRecordError(path, key, f"member {name!r} is missing or cannot be decoded")
    return image


_CATEGORY = "object"


def export_amodal_coco(shards: Iterable[Path], out: Path) -> Path:
    """Writes ``images/*.png`` (lossless) and ``annotations.json`` from shards.

    Each image has one object, the target; frames of clips also have ``track_id``, and their
    images ``video_id`` and ``frame``.

    Returns:
        Path of the annotation file.

    Raises:
        CorruptRecordError: naming the shard and the sample.
    """
    folder = out / "images"
    folder.mkdir(parents=True, exist_ok=True)
    writer = AmodalCocoWriter({"description": "TAOS composites"}, [_CATEGORY])
    for shard in shards:
        for sample in read_shard(shard):
            name = f"{sample_key(sample)}.png"
            if not cv2.imwrite(str(folder / name), sample.image[..., ::-1]):
                raise OSError(f"cannot write {folder / name}")
            made_by = sample.provenance
            height, width = sample.amodal.shape
            number = writer.add_image(
                name, (height, width), made_by.get("video_id"), made_by.get("frame")
            )
            writer.add_object(
                number, _CATEGORY, sample.amodal, sample.visible, made_by.get("track_id")
            )
    path = out / "annotations.json"
    writer.write(path)
    return path
