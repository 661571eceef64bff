# SPDX-License-Identifier: Apache-2.0
"""Serves the built page on the loopback interface, with the headers that threads need."""

from __future__ import annotations

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from web import WebError

LOOPBACK = "127.0.0.1"
# The page may load from where it came from and from nowhere else: nothing can leave.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:;"
    " style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    # SharedArrayBuffer, and with it threads, exists only in an isolated page.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PageHandler(SimpleHTTPRequestHandler):
    """Serves files of one folder; no listings, no log."""

    # Python's own table depends on the machine's /etc/mime.types.
    extensions_map = {  # noqa: RUF012  (declared so by the base class)
        "": "application/octet-stream",
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".jpg": "image/jpeg",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".md": "text/plain; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        """Adds the headers to each answer."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: object) -> None:
        """Lists nothing."""
        self.send_error(404, "File not found")

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


class PageServer(ThreadingHTTPServer):
    """A server of a built page on the loopback interface.

    Args:
        folder: as `build_site` made it.
        port: 0: any free one.

    Raises:
        WebError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        try:
            super().__init__((LOOPBACK, port), partial(PageHandler, directory=str(folder)))
        except (OSError, OverflowError) as error:
            raise WebError(f"port {port}: {error}; name another one with --port") from error

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a browser that leaves in the middle of an answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/"
