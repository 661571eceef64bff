# SPDX-License-Identifier: Apache-2.0
"""Brings what the ROS-free core logs into the node's log."""

from __future__ import annotations

import logging

from rclpy.node import Node


def forward_python_log(node: Node) -> None:
    """Forward the records of the package's Python loggers to a node's logger from now on."""
    package_logger = logging.getLogger("amodal_ros")
    package_logger.addHandler(_RosHandler(node))
    package_logger.setLevel(logging.DEBUG)  # the node's own level decides
    package_logger.propagate = False


class _RosHandler(logging.Handler):
    def __init__(self, node: Node) -> None:
        super().__init__()
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name}: {record.getMessage()}"
        # One call site for each severity: rclpy refuses a site that changes its severity.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)
