# SPDX-License-Identifier: Apache-2.0
"""The page where something is missing: headers, network, memory, a newer browser, the model."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import Visitor

pytestmark = pytest.mark.slow


class PlainHandler(http.server.SimpleHTTPRequestHandler):
    """A static host that knows nothing of the page."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def plain_host(small_site: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    handler = functools.partial(PlainHandler, directory=str(small_site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_host_without_headers_then_without_network(
    context: Any, plain_host: http.server.ThreadingHTTPServer
) -> None:
    """The service worker isolates the page, and keeps it for when there is no network."""
    visitor = Visitor(context.new_page(), f"http://localhost:{plain_host.server_port}/")
    visitor.visit()
    assert visitor.page.evaluate("crossOriginIsolated")
    visitor.page.reload()  # now everything has gone through the service worker
    visitor.page.locator("html[data-ready]").wait_for(state="attached")
    plain_host.shutdown()
    plain_host.server_close()
    visitor.visit()
    visitor.page.click("#suggest")
    visitor.answered(1)


def test_without_a_service_worker_too(
    chromium: Any, plain_host: http.server.ThreadingHTTPServer
) -> None:
    context = chromium.new_context(service_workers="block")
    visitor = Visitor(context.new_page(), f"http://localhost:{plain_host.server_port}/")
    visitor.visit()
    assert "1 thread" in visitor.page.locator("#facts").inner_text()
    context.close()


def test_old_browser(visitor: Visitor) -> None:
    visitor.page.add_init_script("WebAssembly.validate = () => false;")
    visitor.page.goto(visitor.url)
    message = visitor.page.locator("#unsupported")
    message.wait_for()
    assert "too old for this page: it lacks WebAssembly with SIMD." in message.inner_text()
    assert visitor.page.locator("main").is_hidden()


def test_truncated_model(visitor: Visitor) -> None:
    visitor.page.route("**/suffix.onnx", lambda route: route.fulfill(body=b"short"))
    visitor.page.goto(visitor.url + "?engine=wasm")
    assert "suffix.onnx: expected" in visitor.error()
    assert "got 5" in visitor.error()


def test_altered_model(visitor: Visitor, small_site: Path) -> None:
    content = bytearray((small_site / "model" / "prefix.onnx").read_bytes())
    content[-1] ^= 1
    visitor.page.route("**/prefix.onnx", lambda route: route.fulfill(body=bytes(content)))
    visitor.page.goto(visitor.url + "?engine=wasm")
    assert "prefix.onnx: expected sha256" in visitor.error()


def test_missing_model(context: Any, visitor: Visitor) -> None:
    visitor.page.route("**/manifest.json", lambda route: route.fulfill(status=404))
    visitor.page.goto(visitor.url + "?engine=wasm")
    assert "manifest.json: the server answered 404" in visitor.error()
    visitor.problems.clear()  # the browser reports the 404 by itself


def test_memory_that_does_not_suffice(visitor: Visitor, small_site: Path) -> None:
    source = (small_site / "core" / "segmenter.js").read_text()
    failing = source.replace(
        "async encode(picture, region) {",
        "async encode(picture, region) { throw new RangeError('Array buffer allocation failed');",
    )
    assert failing != source
    visitor.page.route(
        "**/core/segmenter.js",
        lambda route: route.fulfill(body=failing, content_type="text/javascript"),
    )
    visitor.visit()
    visitor.page.click("#suggest")
    visitor.page.locator(".problem").wait_for()
    assert "not enough memory" in visitor.page.locator(".problem").inner_text()
