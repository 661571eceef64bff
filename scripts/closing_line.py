# SPDX-License-Identifier: Apache-2.0
"""Prints the closing line of scripts/test: ``N passed, N failed; static checks passed``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree


def count(junit_xml: Path) -> tuple[int, int, int]:
    """Returns the numbers of passed, failed and skipped tests; no file means none ran.

    A test whose set-up or tear-down breaks has failed, and counts once.
    """
    if not junit_xml.is_file():
        return 0, 0, 0
    outcomes: dict[tuple[str, str], str] = {}
    for case in ElementTree.parse(junit_xml).iter("testcase"):
        test = (case.get("classname", ""), case.get("name", ""))
        tags = {child.tag for child in case}
        if tags & {"failure", "error"}:
            outcomes[test] = "failed"
        else:
            outcomes.setdefault(test, "skipped" if "skipped" in tags else "passed")
    values = list(outcomes.values())
    return values.count("passed"), values.count("failed"), values.count("skipped")


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the line; returns 1 where a test or check failed or broke off, or no test passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("junit_xml", type=Path, help="pytest's results")
    parser.add_argument("checks", type=Path, help="what scripts/check printed")
    arguments = parser.parse_args(argv)
    try:
        passed, failed, skipped = count(arguments.junit_xml)
    except ElementTree.ParseError:  # pytest ended while it wrote them
        tests, good = "tests broke off", False
    else:
        tests = f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
        good = passed > 0 and not failed
    checks = arguments.checks.read_text(encoding="utf-8").strip().rpartition("\n")[2]
    if not checks.startswith("static checks "):
        checks = "static checks broke off"
    print(f"{tests}; {checks}")
    return 0 if good and checks == "static checks passed" else 1


if __name__ == "__main__":
    sys.exit(main())
