# SPDX-License-Identifier: Apache-2.0
"""Where the browser of the page's tests comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.bootstrap import browser, ros
from scripts.bootstrap.environment import Environment


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(tmp_path, ros.Ros("", ()), {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What apt is asked for; it has everything and fails."""
    packages: list[Sequence[str]] = []

    def install(env: Environment, names: Sequence[str], what: str) -> bool:
        packages.append(names)
        return False

    monkeypatch.setattr(browser, "install_packages", install)
    monkeypatch.setattr(browser, "known_to_apt", lambda names: True)
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    return packages


def test_a_browser_that_is_there(
    env: Environment, asked: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        browser.shutil, "which", lambda name: "/opt/chrome" if name == "google-chrome" else None
    )
    browser.provide(env)
    assert browser.find() == "/opt/chrome"
    assert asked == []


def test_one_that_cannot_be_had(
    env: Environment, asked: list[Sequence[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    browser.provide(env)
    assert asked == [("chromium",)]
    assert "Tests in a browser are skipped; they need:" in capsys.readouterr().out


def test_one_that_apt_does_not_know(
    env: Environment,
    asked: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(browser, "known_to_apt", lambda names: False)
    browser.provide(env)
    assert asked == []
    assert "apt install chromium" in capsys.readouterr().out
