# SPDX-License-Identifier: Apache-2.0
"""Keeps what other packages say about each other out of a command's output."""

from __future__ import annotations

import warnings

# mobile_sam imports timm by its old names, and registers models that timm has by now.
_PACKAGES = r"(timm|mobile_sam)(\.|$)"


def silence_packages() -> None:
    """Ignore the warnings with which the base models' packages greet whoever imports them.

    For commands, before their imports: a library leaves the filters to the program.
    """
    for category in (FutureWarning, UserWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=_PACKAGES)
