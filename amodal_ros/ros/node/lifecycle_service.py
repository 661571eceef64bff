# SPDX-License-Identifier: Apache-2.0
"""Makes rclpy's lifecycle nodes survive a request for a transition that their state forbids."""

from __future__ import annotations

from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode


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
