# SPDX-License-Identifier: Apache-2.0
"""The node ``amodal_perception``: images and boxes in, visible and amodal masks out."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NoReturn

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from amodal_ros.errors import AmodalError
from amodal_ros.ros.node.camera import Camera
from amodal_ros.ros.node.live_parameters import LiveParameters
from amodal_ros.ros.node.model_host import ModelHost, Predictor
from amodal_ros.ros.node.model_loading import load_predictor, model_facts
from amodal_ros.ros.node.node_process import run_lifecycle_node
from amodal_ros.ros.node.services import PerceptionServices, refuse_impossible_transitions
from amodal_ros.ros.parameters.declaration import declare_parameters
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import camera_names
from amodal_ros.ros.watch.diagnostics import CameraState, DiagnosticsPublisher, ModelState

NODE_NAME = "amodal_perception"


class PerceptionNode(LifecycleNode):
    """``configure`` loads and warms up the model, ``activate`` answers frames.

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
        self._cameras: dict[str, Camera] = {}
        self._offered: PerceptionServices | None = None
        refuse_impossible_transitions(self)
        try:
            self._autostart = declare_parameters(self).autostart
        except AmodalError:
            self.destroy_node()
            raise
        self._gave_up = self.create_guard_condition(self._deactivate_broken)
        self._host = ModelHost(make_predictor, on_broken=self._gave_up.trigger)
        self._live = LiveParameters(self, self._host, lambda: self._cameras)
        self._diagnostics = DiagnosticsPublisher(self, self._model_state, self._camera_states)

    @property
    def autostart(self) -> bool:
        """Whether the process should configure and activate the node by itself."""
        return self._autostart

    @property
    def fault_counts(self) -> Mapping[str, int]:
        """Every fault counter since the node was last configured, all cameras together."""
        total: Counter[str] = Counter()
        for camera in self._cameras.values():
            total.update(camera.faults.counts())
        return total

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, check and warm up the model; on failure the log says why."""
        started = perf_counter()
        self._cameras = {}
        try:
            names = camera_names(self._live.configure())
        except AmodalError as error:
            self.get_logger().fatal(f"cannot configure: {error}")
            self._release()
            return TransitionCallbackReturn.FAILURE
        except Exception:
            # rclpy would turn it into a transition to error processing without a word.
            self.get_logger().fatal(f"cannot configure: {traceback.format_exc()}")
            raise
        self._cameras = {name: Camera(self, name, self._host) for name in names}
        self._offered = PerceptionServices(
            self,
            names,
            self._host,
            lambda: {
                name: camera.session
                for name, camera in self._cameras.items()
                if camera.session is not None
            },
            lambda: self._live.in_force,
        )
        self.get_logger().info(f"model loaded and warm in {perf_counter() - started:.1f} s")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the workers."""
        activated = super().on_activate(state)
        if not self._cameras:
            self.get_logger().fatal("cannot activate: the node is not configured")
            return TransitionCallbackReturn.FAILURE
        parameters = self._live.take_up()
        try:
            for camera in self._cameras.values():
                camera.start(parameters)
        except AmodalError as error:
            self.get_logger().fatal(f"cannot activate: {error}")
            self._end_sessions()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        return activated

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and end the workers."""
        self._end_sessions()
        self.get_logger().info("inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the workers and free the model, whatever the state was."""
        self._host.interrupt()
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured."""
        self._release()
        return super().on_error(state)

    def interrupt(self) -> None:
        """Let the engine leave the work that it is at, for a process that must end."""
        self._host.interrupt()

    def destroy_node(self) -> None:
        """Leave the ROS network at once."""
        super().destroy_node()
        # It holds the node in the network until it is collected, and others would take the node
        # for alive; rclpy has no public way to destroy it.
        self._state_machine.destroy_when_not_in_use()

    def _deactivate_broken(self) -> None:
        if self._state_machine.current_state[1] == "active":
            self.trigger_deactivate()

    def _end_sessions(self) -> None:
        for camera in self._cameras.values():
            camera.stop()

    def _release(self) -> None:
        self._end_sessions()
        if self._offered is not None:
            self._offered.destroy()
            self._offered = None
        for camera in self._cameras.values():
            camera.destroy()
        self._host.close()

    def _model_state(self) -> ModelState:
        return ModelState(
            lifecycle=self._state_machine.current_state[1],
            facts=model_facts(self._host.predictor),
            loading=self._host.loading,
            failure=self._live.model_failure,
        )

    def _camera_states(self) -> Sequence[CameraState]:
        return [camera.state() for camera in self._cameras.values()]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the node until SIGINT or SIGTERM, then end the process; status 1: it could not start."""
    run_lifecycle_node(PerceptionNode, args, autostart=lambda node: node.autostart)


if __name__ == "__main__":
    main()
