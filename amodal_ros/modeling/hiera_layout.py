# SPDX-License-Identifier: Apache-2.0
"""Where the stages of a Hiera encoder begin and end, and where their adapters sit (A.1.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amodal_ros.errors import InvalidInputError

STAGES = (1, 2, 3, 4)


@dataclass(frozen=True)
class HieraLayout:
    """Blocks of Hiera's four stages.

    The paper puts one adapter at the outset of each stage, so that features are completed at all
    four spatial scales. The first block of stages 2 to 4 is what halves the resolution; their
    adapter follows it, and is the first thing that happens at the stage's own scale. The first
    stage's adapter comes before its first block. Every output of a stage has passed its adapter.

    Attributes:
        first_blocks: Index of each stage's first block.
        last_blocks: Index of each stage's last block.
        channels: Channels of each stage.
    """

    first_blocks: tuple[int, ...]
    last_blocks: tuple[int, ...]
    channels: tuple[int, ...]

    @classmethod
    def of(cls, trunk: Any) -> HieraLayout:
        """Read the layout from an official ``Hiera``.

        Raises:
            InvalidInputError: It has no four stages, or one of a single block after the first.
        """
        last = tuple(trunk.stage_ends)
        first = (0, *(end + 1 for end in last[:-1]))
        is_short = any(a == b for a, b in zip(first[1:], last[1:], strict=True))
        if len(last) != len(STAGES) or is_short:
            raise InvalidInputError(
                f"expected a Hiera of four stages, all but the first of two blocks or more, "
                f"got stages that end at blocks {last}"
            )
        return cls(first, last, tuple(trunk.channel_list[::-1]))

    def adapted_block(self, stage: int) -> int:
        """Return the block before which the adapter of stage 1 to 4 sits."""
        return 0 if stage == 1 else self.first_blocks[stage - 1] + 1

    def stage_ending_at(self, block: int) -> int | None:
        """Return the stage 1 to 4 whose last block this is, or None."""
        return self.last_blocks.index(block) + 1 if block in self.last_blocks else None

    def stages_with_adapter(self, positions: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Yield ``(stage, block before which its adapter sits)``.

        Raises:
            InvalidInputError: A position is not that of a stage.
        """
        for stage in positions:
            if stage not in STAGES:
                raise InvalidInputError(f"positions must be stages 1 to 4, got {positions}")
            yield stage, self.adapted_block(stage)
