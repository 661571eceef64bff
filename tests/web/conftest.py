# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.port import Port


@pytest.fixture(scope="session")
def port() -> Iterator[Port]:
    """The page's core, to be called from Python."""
    running = Port()
    yield running
    running.close()
