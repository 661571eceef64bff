# SPDX-License-Identifier: Apache-2.0
"""The parameter table as ROS parameters: declared, described, ranged, misspelt ones refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from amodal_ros.errors import InvalidInputError
from amodal_ros.ros.parameters.spec import Effect, ParameterSpec
from amodal_ros.ros.parameters.table import PARAMETERS, PerceptionParameters

# Declared by rclpy itself on every node.
_RCLPY_PARAMETERS = ("use_sim_time", "start_type_description_service")
_RCLPY_PREFIXES = ("qos_overrides.",)
_NAMES = tuple(spec.name for spec in PARAMETERS)


def declare_parameters(node: Node) -> PerceptionParameters:
    """Declare the whole table on a node.

    The node must have been made with ``automatically_declare_parameters_from_overrides=True``:
    only so does rclpy tell which overrides it was given.

    Raises:
        InvalidInputError: if an override has an unknown name or a wrong value.
    """
    overrides = {
        name: value
        for name, value in _declared_values(node).items()
        if name not in _RCLPY_PARAMETERS and not name.startswith(_RCLPY_PREFIXES)
    }
    parameters = PerceptionParameters.from_mapping(overrides)
    for spec in PARAMETERS:
        if spec.name in overrides:
            node.undeclare_parameter(spec.name)
        value = getattr(parameters, spec.name)
        node.declare_parameter(spec.name, value, descriptor(spec), ignore_override=True)
    return parameters


def read_parameters(node: Node) -> PerceptionParameters:
    """The node's present values.

    Raises:
        InvalidInputError: if a value is wrong.
    """
    return PerceptionParameters.from_mapping(
        {name: node.get_parameter(name).value for name in _NAMES}
    )


def guard_changes(
    node: Node,
    is_configured: Callable[[], bool],
    check: Callable[[PerceptionParameters], None],
    on_change: Callable[[], None],
) -> None:
    """Refuse wrong values, and changes that a configured node cannot take up.

    Args:
        node: with the table declared.
        is_configured: whether the node is configured at present.
        check: raises InvalidInputError for values that are wrong for other reasons.
        on_change: called before the accepted values are set; read them afterwards.
    """

    def decide(changes: Sequence[Parameter]) -> SetParametersResult:
        ours = {change.name: change.value for change in changes if change.name in _NAMES}
        present = read_parameters(node)
        try:
            wanted = PerceptionParameters.from_mapping({**asdict(present), **ours})
            check(wanted)
        except InvalidInputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        fixed = wanted.changes(present, Effect.CONFIGURE)
        if fixed and is_configured():
            return SetParametersResult(
                successful=False,
                reason=f"{', '.join(fixed)}: fixed while the node is configured; "
                "deactivate and clean up first",
            )
        if ours:
            on_change()
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(decide)


def descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """What ``ros2 param describe`` shows."""
    described = ParameterDescriptor(name=spec.name, description=spec.description)
    effect = f"changes take effect: {spec.effect.value}"
    # Else rclpy itself refuses 2 where it was told 2.0, before this project is asked; what may not
    # be said, `guard_changes` refuses.
    described.dynamic_typing = isinstance(spec.default, float)
    described.additional_constraints = f"{spec.expected}; {effect}" if spec.choices else effect
    if spec.minimum is not None and spec.maximum is not None:
        if isinstance(spec.default, float):
            described.floating_point_range = [
                FloatingPointRange(from_value=spec.minimum, to_value=spec.maximum, step=0.0)
            ]
        else:
            described.integer_range = [
                IntegerRange(from_value=int(spec.minimum), to_value=int(spec.maximum), step=0)
            ]
    return described


def _declared_values(node: Node) -> dict[str, object]:
    return {name: node.get_parameter(name).value for name in node.get_parameters_by_prefix("")}
