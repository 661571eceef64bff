# SPDX-License-Identifier: Apache-2.0
"""A recorded run as a dataset: ``python -m amodal_ros.ros.bag.dataset masks.mcap OUT``.

Images and masks belong together by their stamps. The images may lie in another recording than the
masks: the one that ``python -m amodal_ros.ros.bag`` answered, or one of the live node's masks.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the dataset.

    Returns:
        0; 2: wrong arguments or input; 1: the disk failed.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from amodal_ros.errors import AmodalError

    try:
        frames, unused = write_dataset(arguments)
    except AmodalError as error:
        logger.error("amodal_dataset: %s", error)
        return 2
    except OSError as error:
        logger.error("amodal_dataset: %s", error)
        return 1
    logger.info("wrote %d frames to %s", frames, arguments.out)
    if unused:
        logger.warning("%d mask messages belong to no image of the recording", unused)
    return 0


def write_dataset(arguments: argparse.Namespace) -> tuple[int, int]:
    """Number of frames written, and of mask messages that found no image.

    Raises:
        InvalidInputError: a topic is missing or must be chosen, no image has masks, or ``out`` is
            not empty.
        OSError: a file cannot be written.
    """
    from amodal_ros.annotations.dataset import RunDataset
    from amodal_ros.errors import InvalidInputError
    from amodal_ros.ros.bag.frames import index_frames
    from amodal_ros.ros.bag.reader import Bag
    from amodal_ros.ros.bag.topics import image_topic, mask_topic
    from amodal_ros.ros.convert.compressed import message_to_rgb
    from amodal_ros.ros.convert.masks import decode_masks

    pictures, unused = arguments.images or arguments.masks, 0
    with Bag(arguments.masks) as answered, Bag(pictures) as recorded:
        said = _stamped(answered, mask_topic(answered, arguments.masks_topic))
        frames = index_frames(recorded, image_topic(recorded, arguments.image_topic), None)
        info = {"description": f"amodal_ros on {pictures.name}"}
        dataset = RunDataset(arguments.out, info, arguments.yolo)
        newest = next(said, None)
        for frame in frames:
            while newest is not None and newest[0] < frame.stamp_ns:
                newest, unused = next(said, None), unused + 1
            if newest is not None and newest[0] == frame.stamp_ns:
                dataset.add(message_to_rgb(frame.image), decode_masks(newest[1]))
                newest = next(said, None)
        dataset.close()
        unused += (newest is not None) + sum(1 for _ in said)
        for path, damage in {bag.path: bag.damage for bag in (answered, recorded)}.items():
            if damage:
                logger.warning("%s: %s", path, damage)
    for line in frames.unreadable:
        logger.warning("%s: %s", pictures, line)
    if not len(dataset):
        raise InvalidInputError(f"no image of {pictures} has the stamp of masks")
    return len(dataset), unused


def _stamped(bag: Any, topic: Any) -> Iterator[tuple[int, Any]]:
    """Stamps and messages of masks, in the order of the images; what cannot be read is told."""
    from amodal_ros.ros.bag.definitions import decoder_of
    from amodal_ros.ros.bag.stamp_order import messages_by_stamp

    decode = decoder_of(topic)
    for stamp_ns, data in messages_by_stamp(bag, topic.name):
        try:
            masks = decode(data)
        except Exception as error:  # whatever damaged bytes lead to
            reason = " ".join(str(error).split())
            logger.warning("masks of stamp %d ns cannot be read: %s", stamp_ns, reason)
            continue
        yield stamp_ns, masks


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m amodal_ros.ros.bag.dataset",
        description="Write a recorded run as images, amodal_coco and YOLO segmentation labels.",
    )
    parser.add_argument("masks", type=Path, help="recording with masks: .mcap, .db3 or a folder")
    parser.add_argument("out", type=Path, help="new or empty folder")
    parser.add_argument(
        "--images", type=Path, metavar="RECORDING", help="holds the images (default: MASKS)"
    )
    for what in ("image", "masks"):
        parser.add_argument(
            f"--{what}-topic",
            metavar="TOPIC",
            help=f"topic of the {what} (default: the only one)",
        )
    parser.add_argument(
        "--yolo",
        choices=("amodal", "visible"),
        default="amodal",
        help="what YOLO's labels hold: whole objects (default) or what is seen of them",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
