# SPDX-License-Identifier: Apache-2.0
"""Services as rclpy has none: answered from a thread, or refused without ending the node."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.task import Future

from amodal_ros.errors import AmodalError

_MOST_AT_ONCE = 8


class DeferredService:
    """Calls are answered one after the other, in their order or nearly so.

    Responses have the fields ``success`` and ``message``: what goes wrong is told there, and
    nothing that a request contains ends the node.

    Args:
        node: owns the service.
        service_type: with ``success`` and ``message`` in its response.
        name: of the service.
        answer: fills the response, in a thread; an AmodalError is the caller's fault.
    """

    def __init__(
        self,
        node: Node,
        service_type: Any,
        name: str,
        answer: Callable[[Any, Any], None],
    ) -> None:
        self._node = node
        self._name = name
        self._answer = answer
        self._one_at_a_time = threading.Lock()
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        # In the node's own group, a call that is not answered yet would hold up all its callbacks.
        self._service = node.create_service(
            service_type, name, self._on_request, callback_group=ReentrantCallbackGroup()
        )

    def destroy(self) -> None:
        """Take the service back; calls in work get no answer."""
        self._node.destroy_service(self._service)

    async def _on_request(self, request: Any, response: Any) -> Any:
        if not self._places.acquire(blocking=False):
            response.success = False
            response.message = f"busy: {_MOST_AT_ONCE} calls wait already"
            return response
        done = Future()
        threading.Thread(
            target=self._work, args=(request, response, done), name="amodal_service", daemon=True
        ).start()
        await done
        self._places.release()
        return response

    def _work(self, request: Any, response: Any, done: Future) -> None:
        try:
            with self._one_at_a_time:
                self._answer(request, response)
        except AmodalError as error:
            response.success, response.message = False, str(error)
        except Exception as error:
            self._node.get_logger().error(f"{self._name}: {traceback.format_exc()}")
            response.success = False
            response.message = f"internal error: {type(error).__name__}: {error}"
        done.set_result(None)
        executor = self._node.executor
        if executor is not None:
            with contextlib.suppress(RuntimeError):  # InvalidHandle: it was shut down
                executor.wake()


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Answer ``success: false`` to impossible transitions.

    rclpy raises in the service callback instead, which ends the executor and with it the node.
    """
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = _refusing(node, service.callback)


def _refusing(node: LifecycleNode, change_state: Any) -> Any:
    def answer(request: ChangeState.Request, response: ChangeState.Response) -> Any:
        try:
            return change_state(request, response)
        except RuntimeError as error:  # rclpy's RCLError is one
            asked = request.transition.label or request.transition.id
            node.get_logger().warning(f"transition {asked} is not possible now: {error}")
            response.success = False
            return response

    return answer
