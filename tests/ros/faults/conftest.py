# SPDX-License-Identifier: Apache-2.0
"""One node process for the tests of a module: it must outlive all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context

from tests.ros.faults.fault_rig import FaultRig


@pytest.fixture(scope="module")
def module_context() -> Iterator[Context]:
    """A context for a whole module."""
    own = Context()
    rclpy.init(context=own)
    yield own
    rclpy.try_shutdown(context=own)


@pytest.fixture(scope="module")
def module_rig(
    request: pytest.FixtureRequest,
    module_context: Context,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FaultRig]:
    """The module's node process, with the parameters that it names in `PARAMETERS`."""
    log = tmp_path_factory.mktemp("node") / "node.log"
    rig = FaultRig(log, module_context, **getattr(request.module, "PARAMETERS", {}))
    yield rig
    rig.close()


@pytest.fixture
def rig(module_rig: FaultRig) -> Iterator[FaultRig]:
    """The module's rig; after each test the same process must answer a good frame."""
    module_rig.camera.answers.clear()
    yield module_rig
    module_rig.process.tell("delay 0")
    module_rig.process.tell("fail 0")
    module_rig.counters()
    assert module_rig.process.popen.poll() is None
    assert "Traceback" not in module_rig.process.output
