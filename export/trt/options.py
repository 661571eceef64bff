# SPDX-License-Identifier: Apache-2.0
"""What engines to build, which shapes they take, and what they will be tied to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amodal_ros.backends.tensorrt.engine_cache import EngineKey, Machine
from amodal_ros.backends.tensorrt.library import TensorRtLibrary
from amodal_ros.errors import InvalidInputError
from amodal_ros.model_folder.manifest import GraphSpec, ModelManifest
from amodal_ros.verification.measures import Limits as GateLimits
from amodal_ros.verification.reference import Scene
from export.trt.precision_plan import RULES_VERSION

Shape = tuple[int, ...]
# The manifest's name of the number of points; free lengths that no graph limits count rows.
POINTS = "P"
_USUAL_POINTS = 2  # a box


@dataclass(frozen=True)
class Limits:
    """How far the free lengths go.

    Attributes:
        max_batch: rows (objects, crops) in one call.
        max_points: points of one object; a box takes two.
    """

    max_batch: int = 8
    max_points: int = 16

    def __post_init__(self) -> None:
        """Checks them.

        Raises:
            InvalidInputError: for less than one row, or fewer points than a box has.
        """
        if self.max_batch < 1:
            raise InvalidInputError(f"max_batch: expected at least 1, got {self.max_batch}")
        if self.max_points < _USUAL_POINTS:
            raise InvalidInputError(
                f"max_points: expected at least {_USUAL_POINTS}, got {self.max_points}"
            )


def profile_shapes(spec: GraphSpec, limits: Limits) -> Mapping[str, tuple[Shape, Shape, Shape]]:
    """Smallest, usual and greatest shape of each input.

    Kernels are tuned for the usual one: half the greatest number of rows, and box prompts. What
    the model itself limits, such as the frames that it remembers, is usually at its greatest.
    """

    def lengths(
        shape: tuple[int | str, ...], rows: int, points: int, limited: Mapping[str, int]
    ) -> Shape:
        free = {POINTS: points, **limited}
        return tuple(n if isinstance(n, int) else free.get(n, rows) for n in shape)

    usual = (limits.max_batch + 1) // 2
    return {
        tensor.name: (
            lengths(tensor.shape, 1, 1, dict.fromkeys(spec.greatest, 1)),
            lengths(tensor.shape, usual, _USUAL_POINTS, spec.greatest),
            lengths(tensor.shape, limits.max_batch, limits.max_points, spec.greatest),
        )
        for tensor in spec.inputs
    }


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """What to build and where to.

    Attributes:
        model: the model folder.
        flavor: `tensorrt` or `tensorrt_rtx`.
        target: `SM89`, say, with TensorRT for RTX; None: this machine's GPU.
        precision: `fp16`, `bf16` or `fp32`.
        limits: how many rows and points.
        workspace_mib: limit of TensorRT's scratch memory; 0: none.
        out: folder of engine sets; None: `engines` in the model folder.
        timing_cache: with `tensorrt`: file; None: beside the engine sets.
        force: build again what is there already.
        show_progress: draw bars.
        scenes: to compare on, beside the reference.
        gate: what passes.
    """

    model: Path
    flavor: str = "tensorrt"
    target: str | None = None
    precision: str = "fp16"
    limits: Limits = field(default_factory=Limits)
    workspace_mib: int = 0
    out: Path | None = None
    timing_cache: Path | None = None
    force: bool = False
    show_progress: bool = False
    scenes: Sequence[Scene] = ()
    gate: GateLimits = field(default_factory=GateLimits)

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            InvalidInputError: for a negative workspace.
        """
        if self.workspace_mib < 0:
            raise InvalidInputError(f"workspace: expected 0 or more MiB, got {self.workspace_mib}")


def engine_key(
    manifest: ModelManifest,
    library: TensorRtLibrary,
    options: EngineOptions,
    machine: Machine | None,
) -> EngineKey:
    """What the engines will be tied to.

    Args:
        manifest: of the model folder, with all graphs that are built.
        library: TensorRT.
        options: of the build.
        machine: the one to build for; None: any with the options' target.

    Raises:
        InvalidInputError: for a target that is no name of a GPU generation.
    """
    target = options.target or ""
    if machine is None and not (target[:2] == "SM" and target[2:].isdigit() and len(target) > 3):
        raise InvalidInputError(f"target: expected SM and a number, as SM89, got {target!r}")
    capability = f"{target[2:-1]}.{target[-1:]}" if machine is None else machine.compute_capability
    return EngineKey(
        flavor=library.flavor,
        library_version=library.version,
        gpu_name="" if machine is None else machine.gpu_name,
        compute_capability=capability,
        onnx_sha256={name: spec.file.sha256 for name, spec in manifest.graphs.items()},
        precision=options.precision,
        max_batch=options.limits.max_batch,
        max_points=options.limits.max_points,
        workspace_mib=options.workspace_mib,
        rules_version=RULES_VERSION,
    )
