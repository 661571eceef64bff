# SPDX-License-Identifier: Apache-2.0
"""Writes MCAP files that `ros2 bag play`, Foxglove and other readers take."""

from __future__ import annotations

from typing import IO, Any, Generic, TypeVar

from rclpy.serialization import serialize_message

from amodal_ros.ros.bag.definitions import installed_definition
from amodal_ros.ros.bag.storage import BagTopic

File = TypeVar("File", bound=IO[bytes])


class BagWriter(Generic[File]):
    """Writes messages into an open binary file.

    Args:
        file: to write to; it is not closed.
        notes: go into the file as its metadata record `amodal_ros`.
    """

    def __init__(self, file: File, notes: dict[str, str] | None = None) -> None:
        from mcap.writer import CompressionType, Writer

        self._file = file
        self._writer = Writer(file, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2")
        self._schemas: dict[tuple[str, str], int] = {}
        self._channels: dict[str, int] = {}
        self._definitions: dict[str, str] = {}
        if notes:
            self._writer.add_metadata("amodal_ros", notes)

    def write(self, topic: BagTopic, log_ns: int, data: bytes) -> None:
        """Writes a message's bytes."""
        channel = self._channels.get(topic.name)
        if channel is None:
            channel = self._channels[topic.name] = self._new_channel(topic)
        self._writer.add_message(channel, log_time=log_ns, data=data, publish_time=log_ns)

    def write_message(self, name: str, log_ns: int, message: Any) -> None:
        """Writes an installed type's message to the topic of that name."""
        package = type(message).__module__.partition(".")[0]
        kind = f"{package}/msg/{type(message).__name__}"
        if kind not in self._definitions:
            self._definitions[kind] = installed_definition(kind)
        topic = BagTopic(name, kind, 0, self._definitions[kind], "ros2msg")
        self.write(topic, log_ns, serialize_message(message))

    def finish(self) -> File:
        """Writes what stands at the end of the file, and returns it."""
        self._writer.finish()
        return self._file

    def _new_channel(self, topic: BagTopic) -> int:
        definition, encoding = topic.definition, topic.encoding
        if not definition:  # databases before ROS 2 Iron have none
            definition = installed_definition(topic.type)
            encoding = "ros2msg" if definition else ""
        # A copied topic may have another version of a type than the answers.
        key = (topic.type, definition)
        schema = self._schemas.get(key)
        if schema is None:
            schema = self._writer.register_schema(topic.type, encoding, definition.encode())
            self._schemas[key] = schema
        metadata = {"offered_qos_profiles": topic.qos}
        return self._writer.register_channel(topic.name, "cdr", schema, metadata)
