# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, in short: it loads the shipped model and finds a hidden part."""

from __future__ import annotations

from tests.web.browser import Visitor


def test_first_ten_seconds(visitor_of_the_shipped_model: Visitor) -> None:
    visitor = visitor_of_the_shipped_model
    visitor.visit()
    assert "WebAssembly, SIMD" in visitor.page.locator("#facts").inner_text()
    visitor.page.click("#suggest")
    visitor.answered(1)
    assert visitor.status().startswith("Object 1: ")
    assert "hidden" in visitor.status()
    (found,) = visitor.coco()["annotations"]
    # The ball behind the milk: seen for the most part, and larger than what is seen.
    assert 0.03 < found["occlusion_rate"] < 0.4
    assert 10_000 < found["area"] < 30_000
