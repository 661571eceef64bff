# SPDX-License-Identifier: Apache-2.0
"""TAOS: Target-Aware Occlusion Synthesis (paper 3.3), with numpy and OpenCV.

Turns segmented photos, cut-outs and rendered models into composites whose amodal masks are
known. Library use: `TaosDataset` (on the fly), `run_taos` (shards); command:
``python -m training.taos``.
"""

from training.taos.config import TaosConfig
from training.taos.judge import VlmJudgeConfig
from training.taos.runner import TaosRun, run_taos
from training.taos.sampler import TaosDataset, TaosSampler, TaosShards
from training.taos.types import TaosClip, TaosSample
from training.untrusted import CorruptRecordError

__all__ = [
    "CorruptRecordError",
    "TaosClip",
    "TaosConfig",
    "TaosDataset",
    "TaosRun",
    "TaosSample",
    "TaosSampler",
    "TaosShards",
    "VlmJudgeConfig",
    "run_taos",
]
