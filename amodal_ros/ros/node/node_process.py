# SPDX-License-Identifier: Apache-2.0
"""A process that is one lifecycle node: starts it, and ends it in time on SIGINT and SIGTERM."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from amodal_ros.errors import AmodalError

# Not every engine can be interrupted in the middle of a call, and none while it loads a model. The
# process does not wait longer than this for it: it has to be gone within two seconds, of which
# leaving the ROS network took up to one on a slow machine.
_PATIENCE_S = 1.0


def run_lifecycle_node(
    make_node: Callable[[], Any],
    args: Sequence[str] | None,
    autostart: Callable[[Any], bool],
) -> NoReturn:
    """Run a lifecycle node until SIGINT or SIGTERM, then end the process.

    The node lives in a thread of its own and the main thread waits for signals, so that a signal
    is answered even while a model is being loaded.

    Args:
        make_node: constructs it. Its ``interrupt`` lets the engine leave the work that it is at;
            it is called once, in the main thread, when the process has to end.
        args: command line with ROS arguments; None: the process's.
        autostart: whether to configure and activate the node; a failure of it ends the process.

    The exit status is 0, or 1 if the node could not start.
    """
    wake_read, wake_write = os.pipe()
    # Written by the system's handler itself: Python's own runs between two instructions, and one
    # that the signal finds just before the read below would wait for the next signal.
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.write(wake_write, b"s"))
    try:
        rclpy.init(
            args=None if args is None else list(args),
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except RuntimeError as error:  # rclpy's RCLError is one: the ROS arguments
        _refuse(error)
    try:
        node = make_node()
    except AmodalError as error:
        rclpy.shutdown()
        _refuse(error)
    forward_python_log(node)
    life = _NodeLife(node, autostart(node), on_end=lambda: os.write(wake_write, b"e"))
    os.read(wake_read, 1)
    if not life.end(_PATIENCE_S):
        # What its thread still holds keeps the node in the network without a goodbye.
        node.get_logger().warning(
            f"the engine did not leave its work in {_PATIENCE_S:g} s: the process ends now, and "
            "others may list the node until its DDS lease is over (20 s)"
        )
    node.destroy_node()
    rclpy.try_shutdown()
    _leave(life.exit_code)


def forward_python_log(node: Node) -> None:
    """Forward the records of the package's Python loggers to a node's logger from now on."""
    package_logger = logging.getLogger("amodal_ros")
    package_logger.addHandler(_RosHandler(node))
    package_logger.setLevel(logging.DEBUG)  # the node's own level decides
    package_logger.propagate = False


def _refuse(error: Exception) -> NoReturn:
    get_logger("amodal_perception").fatal(f"cannot start: {error}")
    _leave(1)


def _leave(code: int) -> NoReturn:
    """End at once.

    All is put away but, perhaps, a frame that nobody waits for; and an interpreter that takes
    itself apart with an engine in it needs seconds on a busy machine.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _NodeLife:
    """Starts, spins and shuts down a node in a thread of its own."""

    def __init__(self, node: Any, autostart: bool, on_end: Callable[[], object]) -> None:
        self.exit_code = 0
        self._node = node
        self._autostart = autostart
        self._on_end = on_end
        self._ending = False
        self._alarm = node.create_guard_condition(lambda: None)
        self._thread = threading.Thread(target=self._run, name="node", daemon=True)
        self._thread.start()

    def end(self, timeout_s: float) -> bool:
        """Shut the node down; waits no longer than that. Returns whether it was done by then."""
        self._ending = True
        self._node.interrupt()
        self._alarm.trigger()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            if self._autostart and not self._start():
                self.exit_code = 1
                return
            self._spin()
        except Exception:
            self._node.get_logger().fatal(traceback.format_exc())
            self.exit_code = 1
        finally:
            self._shut_down()
            self._on_end()

    def _start(self) -> bool:
        for trigger in (self._node.trigger_configure, self._node.trigger_activate):
            if not self._ending and trigger() != TransitionCallbackReturn.SUCCESS:
                return False
        return True

    def _spin(self) -> None:
        # What was imported stays. To search it for circles of references would take Python some 50
        # ms each time, in which no answer goes out.
        gc.collect()
        gc.freeze()
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        while not self._ending:
            executor.spin_once()
        executor.remove_node(self._node)
        executor.shutdown()

    def _shut_down(self) -> None:
        # Whatever goes wrong here, the main thread has to hear of the end.
        try:
            # RCLError, a RuntimeError: somebody shut it down before, it is finalized.
            with contextlib.suppress(RuntimeError):
                self._node.trigger_shutdown()
        except Exception:
            self._node.get_logger().fatal(traceback.format_exc())
            self.exit_code = 1


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
