# SPDX-License-Identifier: Apache-2.0
"""The build of the page, its server, and the command."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from amodal_ros.model_folder.manifest import default_model_dir
from tests.fakes import manifest_content
from web import WebError
from web.__main__ import MODEL, main
from web.runtime import provide_runtime
from web.server import LOOPBACK, PageServer
from web.site import PAGE, RUNTIME_FILES, build_site

CORE_LINES = 700


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A package that has the right files, and nothing in them."""
    folder = tmp_path / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text('{"version": "1.2.3"}')
    for name in RUNTIME_FILES:
        (folder / "dist" / name).write_text(name)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest_content("roi", "roi")))
    (folder / "x.onnx").write_text("graph")
    (folder / "PROVENANCE.md").write_text("from a test")
    return folder


def test_the_shipped_model_is_the_default() -> None:
    assert default_model_dir() == MODEL


def test_shipped_graphs_are_copied_as_they_are(site: Path) -> None:
    manifest = json.loads((MODEL / "manifest.json").read_text())
    assert json.loads((site / "model" / "manifest.json").read_text()) == manifest
    for graph in manifest["graphs"].values():
        content = (site / "model" / graph["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == graph["sha256"]


def test_build_again_over_a_build(tmp_path: Path, model: Path, runtime: Path) -> None:
    folder = tmp_path / "site"
    build_site(folder, model, runtime)
    (folder / "stale.js").write_text("")
    build_site(folder, model, runtime)
    assert not (folder / "stale.js").exists()
    assert (folder / "model" / "PROVENANCE.md").read_text() == "from a test"
    mark = json.loads((folder / "build.json").read_text())
    assert mark["onnxruntime_web"] == "1.2.3"
    assert mark["bytes"]["ort.wasm.min.mjs"] == len("ort.wasm.min.mjs")


def test_what_is_not_a_build_stays(tmp_path: Path, model: Path, runtime: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    for target in (tmp_path / "home", tmp_path / "home" / "thesis.tex"):
        with pytest.raises(WebError, match="expected an empty folder"):
            build_site(target, model, runtime)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a model's manifest"),
        ("[]", "expected a model's manifest"),
        (json.dumps(manifest_content("full")), "this one has mode full"),
    ],
)
def test_models_that_cannot_be_used(
    tmp_path: Path, model: Path, runtime: Path, content: str | None, message: str
) -> None:
    (model / "manifest.json").unlink()
    if content is not None:
        (model / "manifest.json").write_text(content)
    with pytest.raises(WebError, match=message):
        build_site(tmp_path / "site", model, runtime)
    assert not (tmp_path / "site").exists()


def test_model_without_its_graph(tmp_path: Path, model: Path, runtime: Path) -> None:
    (model / "x.onnx").unlink()
    with pytest.raises(WebError, match=r"x\.onnx: expected a graph"):
        build_site(tmp_path / "site", model, runtime)


def test_served_with_the_headers_that_threads_need(server: PageServer) -> None:
    with urllib.request.urlopen(server.url) as answer:
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Type"].startswith("text/html")
    for path, kind in [
        ("ort/ort.wasm.min.mjs", "text/javascript"),
        ("ort/ort-wasm-simd-threaded.wasm", "application/wasm"),
        ("app/main.js", "text/javascript"),
    ]:
        with urllib.request.urlopen(server.url + path) as answer:
            assert answer.headers["Content-Type"].startswith(kind)


@pytest.mark.parametrize("path", ["model/", "../__main__.py", "%2e%2e/__main__.py", "nothing.js"])
def test_neither_listings_nor_other_folders(server: PageServer, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(server.url + path)
    assert refusal.value.code == 404


def test_served_on_the_loopback_alone(server: PageServer) -> None:
    assert server.server_address[0] == LOOPBACK


def test_port_that_is_taken(
    server: PageServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    runtime: Path,
) -> None:
    monkeypatch.setattr("web.__main__.provide_runtime", lambda cache: runtime)
    monkeypatch.setattr("web.__main__.CACHE", tmp_path)
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    assert f"scripts/web: port {port}: " in capsys.readouterr().err


def test_npm_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho no such host >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    with pytest.raises(WebError, match=r"failed with status 1 .*no such host"):
        provide_runtime(tmp_path / "cache")


def test_runtime_is_pinned_to_one_version() -> None:
    package = json.loads((PAGE.parent / "package.json").read_text())
    lock = json.loads((PAGE.parent / "package-lock.json").read_text())
    assert list(package["dependencies"]) == ["onnxruntime-web"]
    locked = lock["packages"]["node_modules/onnxruntime-web"]
    assert locked["version"] == package["dependencies"]["onnxruntime-web"]
    assert locked["integrity"].startswith("sha512-")


def test_the_port_of_the_core_stays_small() -> None:
    files = sorted((PAGE / "core").glob("*.js"))
    assert len(files) == 7
    assert sum(len(file.read_text().splitlines()) for file in files) <= CORE_LINES


def test_help(repository_root: Path) -> None:
    done = subprocess.run(
        [str(repository_root / "scripts" / "web"), "--help"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--build DIR" in done.stdout
