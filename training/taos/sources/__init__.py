# SPDX-License-Identifier: Apache-2.0
"""Sources of segmented objects, opened from ``KIND:PATH``."""

from __future__ import annotations

from pathlib import Path

from amodal_ros.errors import InvalidInputError
from training.taos.config import TaosConfig
from training.taos.sources.base import CutOutSource, PhotoSource, Source

__all__ = ["KINDS", "CutOutSource", "PhotoSource", "Source", "open_source"]

KINDS = ("coco", "yolo", "sa1b", "cutouts", "white", "render", "photos")


def open_source(spec: str, config: TaosConfig, cache: Path) -> Source:
    """Opens one source, or the part of it that the settings ask for.

    Args:
        spec: ``KIND:PATH``; for coco ``coco:annotations.json@images_folder``.
        config: settings of the run.
        cache: folder for what is expensive to make (rendered views, masks of photos).

    Raises:
        InvalidInputError: for an unknown kind or a path that does not exist.
        CorruptRecordError: for a file that is unusable as a whole.
    """
    source = _open(spec, config, cache)
    source.part, source.held_share = config.part, config.held_share
    return source


def _open(spec: str, config: TaosConfig, cache: Path) -> Source:
    kind, colon, path_text = spec.partition(":")
    if not colon or kind not in KINDS or not path_text:
        raise InvalidInputError(
            f"--source: expected KIND:PATH with KIND one of {', '.join(KINDS)}, got {spec!r}"
        )
    if kind == "coco":
        annotations, at, images = path_text.rpartition("@")
        if not at or not annotations or not images:
            raise InvalidInputError(
                f"--source: expected coco:annotations.json@images_folder, got {spec!r}"
            )
        from training.taos.sources.coco import CocoSource

        return CocoSource(spec, Path(annotations), Path(images))
    path = Path(path_text)
    if not path.exists():
        raise InvalidInputError(f"source {spec}: {path} does not exist")
    if kind == "yolo":
        from training.taos.sources.yolo import YoloSource

        return YoloSource(spec, path)
    if kind == "sa1b":
        from training.taos.sources.sa1b import Sa1bSource

        return Sa1bSource(spec, path, config.seed, config.shard_size)
    if kind == "cutouts":
        from training.taos.sources.cutouts import CutOutFolder

        return CutOutFolder(spec, path)
    if kind == "white":
        from training.taos.sources.cutouts import WhiteGroundFolder

        return WhiteGroundFolder(spec, path)
    if kind == "render":
        from training.taos.sources.render import RenderSource

        return RenderSource(spec, path, config, cache)
    from training.taos.sources.photos import SelfSegmentedSource

    return SelfSegmentedSource(spec, path, config, cache)
