# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web import browser
from tests.web.port import Port
from web import WebError
from web.__main__ import CACHE, MODEL
from web.runtime import provide_runtime
from web.server import PageServer
from web.site import build_site


@pytest.fixture(scope="session")
def port() -> Iterator[Port]:
    """The page's core, to be called from Python."""
    running = Port()
    yield running
    running.close()


@pytest.fixture(scope="session")
def onnxruntime_web() -> Path:
    """ONNX Runtime for browsers, fetched as scripts/web does it."""
    try:
        return provide_runtime(CACHE)
    except WebError as error:
        pytest.skip(f"needs onnxruntime-web: {error}")


@pytest.fixture(scope="session")
def site(onnxruntime_web: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with the shipped model, built as scripts/web builds it."""
    folder = tmp_path_factory.mktemp("web") / "site"
    build_site(folder, MODEL, onnxruntime_web)
    return folder


@pytest.fixture(scope="session")
def server(site: Path) -> Iterator[PageServer]:
    """The page with the shipped model, served as scripts/web serves it."""
    yield from serve(site)


@pytest.fixture(scope="session")
def small_site(onnxruntime_web: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with a model that answers at once: see small_model.py."""
    write_small_model = pytest.importorskip("tests.web.small_model").write_small_model
    folder = tmp_path_factory.mktemp("small")
    write_small_model(folder / "model")
    build_site(folder / "site", folder / "model", onnxruntime_web)
    return folder / "site"


@pytest.fixture(scope="session")
def small_server(small_site: Path) -> Iterator[PageServer]:
    """The page with the small model, served."""
    yield from serve(small_site)


def serve(folder: Path) -> Iterator[PageServer]:
    """Serves a built page."""
    with PageServer(folder, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real browser without a window; its event loop must not outlive a module's tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    path = browser.find_browser()
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=browser.browser_arguments())
        yield running
        running.close()


@pytest.fixture
def context(chromium: Any) -> Iterator[Any]:
    """A fresh profile at a desk."""
    profile = chromium.new_context(viewport={"width": 1366, "height": 900})
    yield profile
    profile.close()


@pytest.fixture
def visitor(context: Any, small_server: PageServer) -> Iterator[browser.Visitor]:
    """Somebody at the page with the small model."""
    yield from visit(context, small_server)


@pytest.fixture
def visitor_of_the_shipped_model(context: Any, server: PageServer) -> Iterator[browser.Visitor]:
    """Somebody at the page as it ships."""
    yield from visit(context, server)


def visit(context: Any, server: PageServer) -> Iterator[browser.Visitor]:
    """A visitor; no script may fail and no request may be refused."""
    somebody = browser.Visitor(context.new_page(), server.url)
    yield somebody
    assert somebody.problems == []
