# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table of names, defaults, ranges and descriptions, without ROS.

``declaration`` makes ROS parameters of it; ``config/perception.yaml`` and
``docs/node.md`` repeat it, and a test compares the three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from amodal_ros.backends.openvino.backend import PrecisionHint
from amodal_ros.errors import InvalidInputError
from amodal_ros.loading import AUTO, BACKENDS
from amodal_ros.ros.convert.box_units import BoxUnits
from amodal_ros.ros.parameters.spec import Effect, ParameterSpec, parameter
from amodal_ros.ros.parameters.topic_names import check_cameras
from amodal_ros.tracking.settings import TrackerConfig

_MOST_OBJECTS = 256


def _of_tracker(name: str, maximum: float | None = None) -> Any:
    """A parameter that is a setting of the tracker; `maximum`: less than the tracker allows."""
    setting = next(entry for entry in fields(TrackerConfig) if entry.name == name)
    known = setting.metadata
    most = known["maximum"] if maximum is None else maximum
    default: float = getattr(TrackerConfig, name)
    return parameter(default, Effect.NEXT_FRAME, known["description"], known["minimum"], most)


@dataclass(frozen=True)
class PerceptionParameters:
    """Values of all parameters of the perception node, valid by construction."""

    model_dir: str = parameter(
        "",
        Effect.MODEL,
        "Folder of the model (manifest.json and its graphs); empty: the model that ships "
        "with the package",
    )
    backend: str = parameter(
        AUTO,
        Effect.MODEL,
        "Engine that runs the model's graphs. auto: the first of TensorRT, TensorRT for "
        "RTX, ONNX Runtime with CUDA, OpenVINO and ONNX Runtime on the CPU that runs and "
        "passes the precision gate; a name: that one, and the node does not start without"
        " it",
        choices=BACKENDS,
    )
    verify: bool = parameter(
        False,
        Effect.MODEL,
        "Compare the masks with the model's fp32 reference at each start, and refuse an "
        "engine whose masks differ too much; false: compare at the first start on a "
        "machine, and ONNX Runtime on the CPU never",
    )
    execution_provider: str = parameter(
        "CPUExecutionProvider",
        Effect.MODEL,
        "Execution provider of ONNX Runtime, with backend onnxruntime; the node does not "
        "start without it",
        choices=("CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"),
    )
    device: str = parameter(
        "CPU",
        Effect.MODEL,
        "OpenVINO's device, such as CPU, GPU, GPU.1 or NPU; the node does not start without it",
    )
    precision: str = parameter(
        "auto",
        Effect.MODEL,
        "What OpenVINO computes in. auto: bf16 or f16 where the device has instructions "
        "for it and the masks pass the precision gate, else f32",
        choices=tuple(hint.value for hint in PrecisionHint),
    )
    threads: int = parameter(
        0, Effect.MODEL, "Threads of the engine; 0: one for each core", 0, 256
    )
    second_look: bool = parameter(
        False,
        Effect.MODEL,
        "Segment an object once more, in a wider region, where its amodal mask reaches "
        "the border of its region; for models of mode roi",
    )
    ask_twice: bool = parameter(
        True,
        Effect.MODEL,
        "Ask the decoder a second time where a visible mask is unsteady, with a point "
        "where something seems to hide the object; for models that give both masks in one"
        " pass",
    )
    fine_edges: bool = parameter(
        True,
        Effect.MODEL,
        "Let masks end at the edges of the picture, and mind its colours; for models of mode roi"
        " that give both masks in one pass",
    )
    model_memory: bool = parameter(
        True,
        Effect.MODEL,
        "Follow objects by the model's own memory, as SAM 2's, where the model folder "
        "holds one; false: segment each image by itself",
    )
    small_looks: bool = parameter(
        True,
        Effect.MODEL,
        "Where the frame budget does not hold all objects, segment those that are known "
        "well at the smaller size of the model folder, if it has one: it takes less time;"
        " false: all at full size",
    )
    frame_budget: float = parameter(
        -1.0,
        Effect.NEXT_FRAME,
        "Seconds per image for the model. It segments as many objects as fit; the masks "
        "of the others are moved. 0: all objects in each image; -1: the camera's "
        "interval, measured",
        -1.0,
        60.0,
    )
    encode_ahead: bool = parameter(
        True,
        Effect.NEXT_FRAME,
        "Encode the next image while the objects of this one are segmented; done only on "
        "a GPU, with a model of mode full",
    )
    cameras: str = parameter(
        "",
        Effect.CONFIGURE,
        "Names of several cameras that share the model, such as left,right; each name "
        "prefixes the topics and services of its camera; empty: one camera, without a "
        "prefix",
    )
    image_topic: str = parameter(
        "camera/image_raw", Effect.RECONNECT, "Topic of the camera's images"
    )
    image_transport: str = parameter(
        "raw",
        Effect.RECONNECT,
        "raw: sensor_msgs/Image on image_topic; compressed: sensor_msgs/CompressedImage on "
        "image_topic/compressed",
        choices=("raw", "compressed"),
    )
    image_reliability: str = parameter(
        "automatic",
        Effect.RECONNECT,
        "Reliability with which images and depth are subscribed; automatic: reliable once"
        " all publishers offer it, until then best_effort, which matches every publisher",
        choices=("automatic", "best_effort", "reliable"),
    )
    detections_topic: str = parameter(
        "detections",
        Effect.RECONNECT,
        "Topic of the boxes, which have the stamps of their images. Empty: no detector; "
        "every image is answered with the objects of ~/add_object",
    )
    detections_type: str = parameter(
        "vision_msgs",
        Effect.RECONNECT,
        "vision_msgs: Detection2DArray; yolo_msgs: DetectionArray, as yolo_ros publishes it",
        choices=("vision_msgs", "yolo_msgs"),
    )
    box_units: str = parameter(
        "automatic",
        Effect.NEXT_FRAME,
        "Unit of the boxes: pixels of the image, normalised (0..1), or pixels of the "
        "detector's input, as stretch_640x640 or letterbox_640x640. automatic: pixels, "
        "with an alarm where boxes seem to be in another unit",
    )
    image_bits: int = parameter(
        16,
        Effect.NEXT_FRAME,
        "Used bits of each sample of a 16-bit image: 10 or 12 with many industrial cameras",
        8,
        16,
    )
    depth_topic: str = parameter(
        "",
        Effect.RECONNECT,
        "Topic of depth images (16UC1 in mm, 32FC1 in m), aligned with the images unless "
        "depth_camera_info_topic is given; empty: no 3D output",
    )
    depth_transport: str = parameter(
        "raw",
        Effect.RECONNECT,
        "raw: sensor_msgs/Image on depth_topic; compressedDepth: sensor_msgs/CompressedImage on "
        "depth_topic/compressedDepth",
        choices=("raw", "compressedDepth"),
    )
    depth_scale: float = parameter(
        0.0,
        Effect.NEXT_FRAME,
        "Metres per unit of depth; 0: as REP 118 says, 0.001 for integers and 1 for "
        "floating point",
        0.0,
        1000.0,
    )
    depth_min: float = parameter(
        0.0, Effect.NEXT_FRAME, "Metres; nearer depths count as unknown", 0.0, 1000.0
    )
    depth_max: float = parameter(
        0.0, Effect.NEXT_FRAME, "Metres; farther depths count as unknown; 0: no limit", 0.0, 1000.0
    )
    camera_info_topic: str = parameter(
        "camera/camera_info",
        Effect.RECONNECT,
        "Topic of the camera's intrinsics; used only with depth",
    )
    depth_camera_info_topic: str = parameter(
        "",
        Effect.RECONNECT,
        "Topic of the depth camera's intrinsics, where its depth is not aligned with the "
        "images: depth is then registered to the image by these and by TF; empty: it is "
        "aligned",
    )
    target_frame: str = parameter(
        "",
        Effect.RECONNECT,
        "Frame of 3D boxes, points and markers, by TF at the image's stamp; empty: the "
        "image's frame",
    )
    transform_timeout: float = parameter(
        0.1,
        Effect.NEXT_FRAME,
        "Seconds that 3D output waits for a transform that is late",
        0.0,
        5.0,
    )
    box_axes: str = parameter(
        "frame",
        Effect.NEXT_FRAME,
        "Sides of 3D boxes. frame: along the axes of their frame; plane: upright on the plane "
        "that the objects stand on and turned with them, where one is found",
        choices=("frame", "plane"),
    )
    slop: float = parameter(
        0.0,
        Effect.RECONNECT,
        "Largest difference in seconds between the stamp of an image and that of its "
        "boxes or depth; 0: they must be equal",
        0.0,
        1.0,
    )
    sync_queue_size: int = parameter(
        10,
        Effect.RECONNECT,
        "Most images, and most box messages, that wait for their partner",
        1,
        200,
    )
    sync_timeout: float = parameter(
        2.0,
        Effect.RECONNECT,
        "Seconds after which boxes that found no image are dropped",
        0.05,
        60.0,
    )
    min_score: float = parameter(
        0.0, Effect.NEXT_FRAME, "Boxes with a lower score are ignored", 0.0, 1.0
    )
    max_objects: int = _of_tracker("max_objects", maximum=_MOST_OBJECTS)
    max_coast: float = _of_tracker("max_coast")
    max_drift: float = _of_tracker("max_drift")
    score_half_life: float = _of_tracker("score_half_life")
    prior_dilation: float = _of_tracker("prior_dilation")
    match_iou: float = _of_tracker("match_iou")
    agreement_iou: float = _of_tracker("agreement_iou")
    coast_iou: float = _of_tracker("coast_iou")
    min_predicted_iou: float = _of_tracker("min_predicted_iou")
    max_area_jump: float = _of_tracker("max_area_jump")
    upright: bool = parameter(
        True,
        Effect.NEXT_FRAME,
        "Whether the lower side of the image is towards the ground. If so, and where "
        "masks tell little of who hides whom, the object that reaches lower in the image "
        "counts as the nearer one",
    )
    point_stride: int = parameter(
        2,
        Effect.NEXT_FRAME,
        "Every so many pixels of a row and of a column one becomes a point",
        1,
        16,
    )
    autostart: bool = parameter(
        True,
        Effect.CONFIGURE,
        "Configure and activate at the start; false: wait for lifecycle transitions",
    )

    def __post_init__(self) -> None:
        for spec in PARAMETERS:
            object.__setattr__(self, spec.name, spec.validated(getattr(self, spec.name)))
        for name in ("image_topic", "camera_info_topic"):
            if not getattr(self, name):
                raise InvalidInputError(f"parameter {name} is '', expected the name of a topic")
        BoxUnits.parse(self.box_units)
        check_cameras(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> PerceptionParameters:
        """Build from names and values; what is not named has its default.

        Raises:
            InvalidInputError: if a name is unknown or a value is wrong.
        """
        known = [spec.name for spec in PARAMETERS]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InvalidInputError(
                f"unknown parameter {', '.join(unknown)}, expected some of {', '.join(known)}"
            )
        return cls(**values)  # type: ignore[arg-type]

    def changes(self, other: PerceptionParameters, effect: Effect) -> tuple[str, ...]:
        """Names of the parameters of one effect whose values differ."""
        return tuple(
            spec.name
            for spec in PARAMETERS
            if spec.effect is effect and getattr(self, spec.name) != getattr(other, spec.name)
        )


PARAMETERS: tuple[ParameterSpec, ...] = tuple(
    ParameterSpec(entry.name, *entry.metadata["spec"]) for entry in fields(PerceptionParameters)
)
