# SPDX-License-Identifier: Apache-2.0
"""What the page runs on, by what the browser offers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.port import Port

GPU = {"info": {"vendor": "nvidia", "architecture": "ada", "description": ""}}
EMULATED = {"info": {"vendor": "google", "architecture": "swiftshader", "description": ""}}


def choose(port: Port, wanted: str, **given: Any) -> dict[str, Any]:
    return port.call("chooseEngine", **{"wanted": wanted, "isolated": True, "cores": 4} | given)


def test_a_gpu_is_used(port: Port) -> None:
    found = choose(port, "auto", adapter=GPU)
    assert found["kind"] == "webgpu"
    assert found["label"] == "WebGPU, nvidia ada"
    assert found["note"] == ""


@pytest.mark.parametrize(
    ("given", "note"),
    [
        ({}, "this browser offers no WebGPU"),
        ({"adapter": None}, "this browser offers no WebGPU"),
        ({"adapter": EMULATED}, "WebGPU is emulated here"),
        ({"adapter": {"info": {"isFallbackAdapter": True}}}, "WebGPU is emulated here"),
    ],
)
def test_without_a_gpu(port: Port, given: dict[str, Any], note: str) -> None:
    found = choose(port, "auto", **given)
    assert found["kind"] == "wasm"
    assert found["label"] == "WebAssembly, SIMD, 4 threads"
    assert found["note"] == note


def test_the_choice_of_the_user_counts(port: Port) -> None:
    assert choose(port, "wasm", adapter=GPU)["kind"] == "wasm"
    assert choose(port, "wasm", adapter=GPU)["note"] == ""
    assert choose(port, "webgpu", adapter=EMULATED)["kind"] == "webgpu"


@pytest.mark.parametrize(
    ("isolated", "cores", "threads"),
    [(False, 16, 1), (True, 1, 1), (True, 2, 2), (True, 64, 8)],
)
def test_threads_where_the_page_is_isolated(
    port: Port, isolated: bool, cores: int, threads: int
) -> None:
    found = choose(port, "wasm", isolated=isolated, cores=cores)
    assert found["threads"] == threads
    assert found["label"].endswith("1 thread" if threads == 1 else f"{threads} threads")
