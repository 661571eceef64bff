# SPDX-License-Identifier: Apache-2.0
"""The node ``amodal_perception``: images and boxes in, visible and amodal masks out."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from amodal_ros.errors import AmodalError
from amodal_ros.manifest import default_model_dir
from amodal_ros.predictor import AmodalPredictor
from amodal_ros.ros.camera_session import CameraSession
from amodal_ros.ros.faults import FaultLog
from amodal_ros.ros.frame_pipeline import Predictor, warm_up
from amodal_ros.ros.lifecycle_service import refuse_impossible_transitions
from amodal_ros.ros.node_process import run_lifecycle_node
from amodal_ros.ros.outputs import Outputs
from amodal_ros.ros.parameter_declaration import (
    declare_parameters,
    guard_changes,
    read_parameters,
)
from amodal_ros.ros.parameters import PerceptionParameters

NODE_NAME = "amodal_perception"


def load_predictor(parameters: PerceptionParameters) -> Predictor:
    """Load and check the model that the parameters name.

    Raises:
        AmodalError: if the model folder or the engine cannot be used as asked.
    """
    return AmodalPredictor.from_model_dir(
        parameters.model_dir or default_model_dir(),
        backend=parameters.backend,
        providers=(parameters.execution_provider,),
        intra_op_threads=parameters.threads,
    )


class PerceptionNode(LifecycleNode):
    """``configure`` loads and warms up the model, ``activate`` answers frames.

    Args:
        make_predictor: loads the model; tests give a fast one.
        node_options: as for ``rclpy.node.Node``: ``context``, ``parameter_overrides`` and so on.

    Raises:
        InvalidInputError: if a parameter override has an unknown name or a wrong value.
    """

    def __init__(
        self,
        make_predictor: Callable[[PerceptionParameters], Predictor] = load_predictor,
        **node_options: Any,
    ) -> None:
        super().__init__(
            NODE_NAME, automatically_declare_parameters_from_overrides=True, **node_options
        )
        self._make_predictor = make_predictor
        self._predictor: Predictor | None = None
        self._outputs: Outputs | None = None
        self._session: CameraSession | None = None
        self._faults = FaultLog(self.get_logger().warning)
        refuse_impossible_transitions(self)
        try:
            self._settings = declare_parameters(self)
        except AmodalError:
            self.destroy_node()
            raise
        guard_changes(self, is_configured=lambda: self._predictor is not None)

    @property
    def autostart(self) -> bool:
        """Whether the process should configure and activate the node by itself."""
        return self._settings.autostart

    @property
    def fault_counts(self) -> Mapping[str, int]:
        """Every fault counter since the node was last configured."""
        return self._faults.counts()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, check and warm up the model; on failure the log says why."""
        started = perf_counter()
        try:
            self._settings = read_parameters(self)
            self._predictor = self._make_predictor(self._settings)
            warm_up(self._predictor)
        except AmodalError as error:
            self.get_logger().fatal(f"cannot configure: {error}")
            self._release()
            return TransitionCallbackReturn.FAILURE
        except Exception:
            # rclpy would turn it into a transition to error processing without a word.
            self.get_logger().fatal(f"cannot configure: {traceback.format_exc()}")
            raise
        self._faults = FaultLog(self.get_logger().warning)
        self._outputs = Outputs(self)
        self.get_logger().info(f"model loaded and warm in {perf_counter() - started:.1f} s")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        activated = super().on_activate(state)
        parameters = self._settings
        if self._predictor is None or self._outputs is None:
            self.get_logger().fatal("cannot activate: the node is not configured")
            return TransitionCallbackReturn.FAILURE
        self._session = CameraSession(
            self, parameters, self._predictor, self._outputs, self._faults
        )
        self.get_logger().info(
            f"active: images from {self.resolve_topic_name(parameters.image_topic)}, "
            f"boxes from {self.resolve_topic_name(parameters.detections_topic)}"
        )
        return activated

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and end the worker."""
        self._end_session()
        self.get_logger().info("inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the worker and free the model, whatever the state was."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured."""
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """Leave the ROS network at once."""
        super().destroy_node()
        # It holds the node in the network until it is collected, and others would take the node
        # for alive; rclpy has no public way to destroy it.
        self._state_machine.destroy_when_not_in_use()

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _release(self) -> None:
        self._end_session()
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        if self._predictor is not None:
            self._predictor.close()
            self._predictor = None


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM.

    Returns:
        0, or 1 if it could not start.
    """
    return run_lifecycle_node(PerceptionNode, args, autostart=lambda node: node.autostart)


if __name__ == "__main__":
    sys.exit(main())
