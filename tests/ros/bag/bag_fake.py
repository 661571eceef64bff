# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.ros.bag.bag_fake ARGUMENTS``: the command with the tests' fast predictor.

It writes a checkpoint after each frame, and kills itself in the call that FAKE_KILL_AT counts.
"""

from __future__ import annotations

import os
import signal
import sys

from amodal_ros.ros.bag import __main__ as command
from amodal_ros.ros.bag import run
from tests.ros.fake_predictor import FakePredictor


class Killed(FakePredictor):
    """Ends its process in the middle of a frame."""

    def predict(self, *given, **named):
        if len(self.priors) == int(os.environ["FAKE_KILL_AT"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(*given, **named)


if __name__ == "__main__":
    run._SAVE_EVERY_S = 0.0
    predictor = Killed()
    sys.exit(command.main(make_predictor=lambda parameters: predictor))
