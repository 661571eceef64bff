# SPDX-License-Identifier: Apache-2.0
"""What the tests of the page (web/) need: Chromium, from apt where this user may install it."""

from __future__ import annotations

import shutil

from scripts.bootstrap.environment import Environment
from scripts.bootstrap.rendering import install_packages, known_to_apt, say_skipped

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_PACKAGES = ("chromium",)  # Ubuntu has it as a snap only


def find() -> str | None:
    """The browser's path, if there is one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def provide(env: Environment) -> None:
    """Installs a browser where there is none and it can be, and says what is skipped without."""
    if find():
        return
    if not (known_to_apt(_PACKAGES) and install_packages(env, _PACKAGES, "a browser, 400 MB")):
        say_skipped("Tests in a browser", _PACKAGES)
