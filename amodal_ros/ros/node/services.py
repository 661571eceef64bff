# SPDX-License-Identifier: Apache-2.0
"""The node's services: masks of any image, objects given by hand, a fresh start."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from amodal_msgs.srv import AddObject, RemoveObject, SegmentAmodal
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger

from amodal_ros.errors import AmodalError, InvalidInputError
from amodal_ros.image.boxes import check_boxes
from amodal_ros.ros.convert.compressed import message_to_rgb
from amodal_ros.ros.convert.images import image_to_rgb
from amodal_ros.ros.convert.masks import encode_masks
from amodal_ros.ros.node.camera import CameraSession
from amodal_ros.ros.node.model_host import ModelHost
from amodal_ros.ros.node.segment import PromptedObjects, segment
from amodal_ros.ros.parameters.table import PerceptionParameters
from amodal_ros.ros.parameters.topic_names import of_camera
from amodal_ros.ros.watch.plausibility import exposure

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


class PerceptionServices:
    """Offers the services of a configured node."""

    def __init__(
        self,
        node: LifecycleNode,
        cameras: tuple[str, ...],
        host: ModelHost,
        sessions: Callable[[], Mapping[str, CameraSession]],
        parameters: Callable[[], PerceptionParameters],
    ) -> None:
        self._node = node
        self._host = host
        self._sessions = sessions
        self._parameters = parameters
        self._deferred = [DeferredService(node, SegmentAmodal, "~/segment", self._segment)]
        self._plain = [node.create_service(Trigger, "~/reset", self._reset)]
        for camera in cameras:
            self._offer_objects(camera)

    def destroy(self) -> None:
        """Take all services back."""
        for deferred in self._deferred:
            deferred.destroy()
        for plain in self._plain:
            self._node.destroy_service(plain)

    def _offer_objects(self, camera: str) -> None:
        def add(request: Any, response: Any) -> None:
            self._add_object(camera, request, response)

        def remove(request: Any, response: Any) -> Any:
            return self._remove_object(camera, request, response)

        self._deferred.append(
            DeferredService(self._node, AddObject, f"~/{of_camera(camera, 'add_object')}", add)
        )
        self._plain.append(
            self._node.create_service(
                RemoveObject, f"~/{of_camera(camera, 'remove_object')}", remove
            )
        )

    def _segment(self, request: Any, response: Any) -> None:
        bits = self._parameters().image_bits
        image_rgb = image_to_rgb(request.image, bits)
        objects = PromptedObjects.from_fields(
            request.boxes_xyxy, request.points_xy, request.point_labels, request.point_owners
        )
        objects.refuse_parts(image_rgb.shape[:2])
        with self._host.lend() as predictor:
            answered = segment(predictor, image_rgb, objects)
        image_hw = image_rgb.shape[:2]
        upright = self._parameters().upright
        encoded = encode_masks(answered, request.image.header, image_hw, upright=upright)
        empty = [entry.detection_id for entry in answered if entry.amodal.is_empty]
        response.success, response.masks = True, encoded.message
        found = len(answered) - len(empty)
        response.message = f"{found} object" if found == 1 else f"{found} objects"
        if empty:
            response.message += f"; nothing was found of object {', '.join(empty)}"
        doubt = exposure(image_rgb, request.image.encoding, bits)
        if doubt is not None:
            response.message += f"; {doubt}"

    def _add_object(self, camera: str, request: Any, response: Any) -> None:
        response.track_id = -1
        session = self._session(camera)
        box, points = list(request.box_xyxy), None
        if len(box) not in (0, 4):
            raise InvalidInputError(f"box_xyxy: expected 4 numbers or none, got {len(box)}")
        if len(request.points_xy) or len(request.point_labels):
            image_rgb = self._newest_image(session)
            objects = PromptedObjects.of_one(box, request.points_xy, request.point_labels)
            objects.refuse_parts(image_rgb.shape[:2])
            (points,) = objects.points
            if not box:
                box = self._box_of(objects, image_rgb)
        elif not box:
            raise InvalidInputError("expected a box or points, got neither")
        else:
            image_hw = _size(session.newest_image)
            PromptedObjects.of_one(box, [], []).refuse_parts(image_hw)
            check_boxes("box_xyxy", [box], image_hw)
        response.track_id = session.tracker.add_object(
            box, points=points, class_id=request.class_id
        )
        response.success = True
        response.message = f"track {response.track_id} starts with the next image"

    def _newest_image(self, session: CameraSession) -> np.ndarray:
        """(H, W, 3) uint8 RGB: points are pixels of it."""
        image = session.newest_image
        if image is None:
            raise InvalidInputError("points need an image, none has come yet")
        return message_to_rgb(image, self._parameters().image_bits)

    def _box_of(self, objects: PromptedObjects, image_rgb: np.ndarray) -> list[int]:
        """The box of what the model sees of the only object: it says where to look next."""
        with self._host.lend() as predictor:
            (found,) = segment(predictor, image_rgb, objects)
        if found.visible.is_empty:
            raise InvalidInputError("nothing was found at the points")
        return list(found.visible_box_xyxy)

    def _remove_object(self, camera: str, request: Any, response: Any) -> Any:
        try:
            self._session(camera).tracker.remove_object(request.track_id)
        except AmodalError as error:
            response.success, response.message = False, str(error)
        else:
            response.success, response.message = True, f"track {request.track_id} ended"
        return response

    def _reset(self, request: Any, response: Any) -> Any:
        sessions = self._sessions()
        for session in sessions.values():
            session.tracker.reset()
        response.success = bool(sessions)
        response.message = "all tracks ended" if sessions else "the node is not active"
        return response

    def _session(self, camera: str) -> CameraSession:
        session = self._sessions().get(camera)
        if session is None:
            raise InvalidInputError("the node is not active")
        return session


def _size(image: Image | CompressedImage | None) -> tuple[int, int] | None:
    """Height and width of a raw image; None: it has to be decoded to know."""
    return (image.height, image.width) if isinstance(image, Image) else None
