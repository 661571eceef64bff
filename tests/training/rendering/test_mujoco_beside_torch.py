# SPDX-License-Identifier: Apache-2.0
"""A process renders and then trains; what is loaded after MuJoCo still works."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

_RENDER_THEN_TRAIN = """
from training.rendering.mujoco_beside_torch import mujoco
import torch
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.AdamW([weight])
weight.sum().backward()
optimizer.step()
try:
    import backports.zstd
except ImportError:
    pass
print("trained", mujoco.__version__)
"""


def test_an_optimizer_steps_after_mujoco_was_loaded() -> None:
    command = [sys.executable, "-c", _RENDER_THEN_TRAIN]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.startswith("trained")


def test_mujoco_is_imported_in_one_place() -> None:
    found = []
    for folder in ("amodal_ros", "benchmarks", "export", "training"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = (
                    [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                )
                if isinstance(node, ast.ImportFrom):
                    names = [str(node.module)]
                if any(name.split(".")[0] == "mujoco" for name in names):
                    found.append(str(file.relative_to(ROOT)))
    assert found == ["training/rendering/mujoco_beside_torch.py"]
