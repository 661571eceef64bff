# SPDX-License-Identifier: Apache-2.0
"""Called by scripts/environment.sh: ``python -m scripts.bootstrap demo|test``."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.bootstrap import (
    activation,
    browser,
    environment,
    prerequisites,
    rendering,
    ros,
    workspace,
)
from scripts.bootstrap.steps import BootstrapError, say


def prepare(root: Path, kind: str) -> None:
    """Makes ``.venv`` and ``.ros`` in ``root``, or finds them ready.

    Raises:
        BootstrapError: a prerequisite is missing or a step failed.
    """
    start = time.monotonic()
    prerequisites.check_path(root)
    found = ros.detect(os.environ)
    environ = ros.build_environment(found, root / ".venv", os.environ)
    if not prerequisites.usable_home():
        environ["HOME"] = str(root / ".ros" / "home")
        say(f"  The home directory cannot be written to: {environ['HOME']} is used")
    env = environment.Environment(root, found, environ)
    say(f"Environment: {found.label}, Python {sys.version.split()[0]}")
    foreign = ros.foreign_rmw(found, os.environ)
    if foreign is not None:
        say(f"  RMW_IMPLEMENTATION={foreign} is not among the wheels: {ros.WHEELS_RMW} is used")
    (env.workspace / "home").mkdir(parents=True, exist_ok=True)
    with (env.workspace / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("  Another run is making this environment: waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        environment.prepare_ros(env, kind)
        # pip mostly waits and unpacks, colcon compiles: side by side they take half a minute less.
        with ThreadPoolExecutor(1) as beside:
            messages = beside.submit(workspace.prepare, env, kind)
            environment.prepare(env, kind)
        messages.result()
        if kind == "test":
            browser.provide(env)
            rendering.keep(env, rendering.provide(env))
        activation.write(env, rendering.kept(env))
    say(f"Environment ready after {time.monotonic() - start:.1f} s")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the bootstrap; returns 2 where a prerequisite is missing or a step failed."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bootstrap", description=__doc__)
    parser.add_argument("kind", choices=("demo", "test"))
    kind = parser.parse_args(argv).kind
    try:
        prepare(Path(__file__).resolve().parents[2], kind)
    except BootstrapError as error:
        print(f"scripts/{kind}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"scripts/{kind}: the environment cannot be made: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"scripts/{kind}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
