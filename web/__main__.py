# SPDX-License-Identifier: Apache-2.0
"""Called by scripts/web: builds the page, then serves it or leaves it for a static host."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from web import WebError
from web.runtime import provide_runtime
from web.server import PageServer
from web.site import build_site

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "web"
MODEL = ROOT / "amodal_ros" / "models" / "amodal_mobilesam"
DEFAULT_PORT = 8321


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/web",
        description="Serves a page that runs the shipped model in the browser, on this machine"
        " only; or builds the folder that any static host can serve.",
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="default %(default)s; 0: any free one"
    )
    parser.add_argument(
        "--build", type=Path, metavar="DIR", help="build the page into DIR and serve nothing"
    )
    parser.add_argument(
        "--model", type=Path, default=MODEL, metavar="DIR", help="a model folder of mode roi"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 2 where something is missing or unusable."""
    options = parse_arguments(argv)
    folder = options.build or CACHE / "site"
    try:
        runtime = provide_runtime(CACHE)
        build_site(folder, options.model, runtime)
        if options.build:
            print(f"{folder}: the page, for any static host")
            return 0
        with PageServer(folder, options.port) as server:
            print(f"{server.url} (this machine only; Ctrl-C ends it)", flush=True)
            server.serve_forever()
    except WebError as error:
        print(f"scripts/web: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
