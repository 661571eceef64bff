# SPDX-License-Identifier: Apache-2.0
"""The VLM judge against a local server that speaks the protocol, well and badly."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from amodal_ros.errors import InvalidInputError
from training.taos.config import TaosConfig
from training.taos.judge import Verdict, VlmJudge, VlmJudgeConfig, judged
from training.taos.runner import TaosRun, run_taos
from training.taos.types import TaosSample

Reply = Callable[[int], "tuple[int, bytes]"]


def says(text: object) -> tuple[int, bytes]:
    message = {"role": "assistant", "content": text}
    content = {"object": "chat.completion", "choices": [{"index": 0, "message": message}]}
    return 200, json.dumps(content).encode()


class Server:
    """An OpenAI-compatible endpoint whose n-th reply is `reply(n)`."""

    def __init__(self) -> None:
        self.reply: Reply = lambda number: says("yes")
        self.requests: list[tuple[str, dict[str, str], dict]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, dict(self.headers), body))
                status, data = outer.reply(len(outer.requests))
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def sample() -> TaosSample:
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal(120, 5, (60, 80, 3)), 0, 255).astype(np.uint8)
    amodal = np.zeros((60, 80), bool)
    amodal[20:40, 20:60] = True
    empty = np.zeros_like(amodal)
    return TaosSample(image, image, amodal, amodal, empty, empty, {})


def judge(server: Server, **changes: object) -> VlmJudge:
    options = {"timeout_s": 5.0, "retries": 1, "backoff_s": 0.0, **changes}
    return VlmJudge(VlmJudgeConfig(url=server.url, model="some-vlm", **options))


def test_the_request(server: Server, sample: TaosSample, monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", "sesame")
    assert judge(server, key_variable="MY_KEY").judge(sample) == Verdict(accepted=True)
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer sesame"
    assert body["model"] == "some-vlm"
    text, picture = body["messages"][0]["content"]
    assert "yes or no" in text["text"]
    kind, data = picture["image_url"]["url"].split(",")
    assert kind == "data:image/jpeg;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (60, 160, 3)
    left, right = image[:, :80].astype(int), image[:, 80:].astype(int)
    assert np.abs(left - sample.image[..., ::-1]).mean() < 12
    green = right[20, 25:55]  # the target's outline
    assert (green[:, 1] > green[:, 0] + 40).mean() > 0.8


def test_no_key_no_header(server: Server, sample: TaosSample, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    judge(server).judge(sample)
    assert "Authorization" not in server.requests[0][1]


@pytest.mark.parametrize("answer", ["Yes", "yes.", "  YES!", "**Yes**, it is."])
def test_yes(server: Server, sample: TaosSample, answer: str) -> None:
    server.reply = lambda number: says(answer)
    assert judge(server).judge(sample).accepted


@pytest.mark.parametrize("answer", ["No", "no, the cup floats.", "NO."])
def test_no(server: Server, sample: TaosSample, answer: str) -> None:
    server.reply = lambda number: says(answer)
    assert judge(server).judge(sample) == Verdict(accepted=False, reason="vlm_no")


@pytest.mark.parametrize(
    ("reply", "reason", "requests"),
    [
        (says("maybe"), "vlm_unclear", 2),
        (says("yes and no"), "vlm_unclear", 2),
        (says(""), "vlm_unclear", 2),
        (says(None), "vlm_unclear", 2),
        (says([{"type": "text"}]), "vlm_unclear", 2),
        ((200, b"<html>hello</html>"), "vlm_malformed", 2),
        ((200, b'{"choices": []}'), "vlm_malformed", 2),
        ((200, b"[" * 100_000), "vlm_malformed", 2),
        ((200, b"\xff\xfe\x00"), "vlm_malformed", 2),
        ((500, b"oops"), "vlm_http_500", 2),
        ((429, b"slow down"), "vlm_http_429", 2),
        ((401, b"who are you"), "vlm_http_401", 1),  # asking again would not help
        ((404, b"no such model"), "vlm_http_404", 1),
    ],
)
def test_what_cannot_be_judged_is_left_out(
    server: Server, sample: TaosSample, reply: tuple[int, bytes], reason: str, requests: int
) -> None:
    server.reply = lambda number: reply
    assert judge(server).judge(sample) == Verdict(False, reason, conclusive=False)
    assert len(server.requests) == requests


def test_a_retry_may_succeed(server: Server, sample: TaosSample) -> None:
    server.reply = lambda number: (503, b"") if number < 3 else says("yes")
    assert judge(server, retries=2).judge(sample).accepted
    assert len(server.requests) == 3


def test_time_out(server: Server, sample: TaosSample) -> None:
    release = threading.Event()

    def late(number: int) -> tuple[int, bytes]:
        release.wait(100)
        return says("yes")

    server.reply = late
    started = time.monotonic()
    verdict = judge(server, timeout_s=0.2).judge(sample)
    release.set()
    assert verdict == Verdict(False, "vlm_timeout", conclusive=False)
    assert time.monotonic() - started < 50  # it has not waited for the answer
    assert len(server.requests) == 2


def test_nobody_there_and_hanging_up(sample: TaosSample, monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    config = VlmJudgeConfig(url=f"http://127.0.0.1:{port}/v1", model="m", backoff_s=0.0)
    assert VlmJudge(config).judge(sample).reason == "vlm_unreachable"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        port = listener.getsockname()[1]
        config = VlmJudgeConfig(url=f"http://127.0.0.1:{port}/v1", model="m", retries=0)
        assert VlmJudge(config).judge(sample).reason == "vlm_unreachable"


def test_asking_pauses_when_nobody_answers(server: Server, sample: TaosSample) -> None:
    server.reply = lambda number: (500, b"")
    asked = judge(server, retries=0, pause_after=3, pause_s=0.3)
    reasons = [asked.judge(sample).reason for _ in range(5)]
    assert reasons == ["vlm_http_500"] * 3 + ["vlm_paused"] * 2
    assert len(server.requests) == 3
    time.sleep(0.35)
    server.reply = lambda number: says("yes")
    assert asked.judge(sample).accepted


def test_the_cheap_judge_is_asked_first(server: Server, sample: TaosSample) -> None:
    unhidden = replace(sample, provenance={"mode": "occluded"})
    assert judged(unhidden, TaosConfig(), judge(server)).reason == "judge_overlap_low"
    assert server.requests == []


def test_a_run_survives_any_judge(server: Server, yolo_root: Path, tmp_path: Path) -> None:
    replies = [says("yes"), says("no"), (500, b""), (200, b"?"), says("hm"), says("yes")]
    server.reply = lambda number: replies[number % len(replies)]
    run = TaosRun(
        config=TaosConfig(seed=1, shard_size=8),
        sources=(f"yolo:{yolo_root}",),
        count=24,
        out=tmp_path / "out",
        cache=tmp_path,
        judge=VlmJudgeConfig(url=server.url, model="m", retries=0),
    )
    statistics = run_taos(run)
    assert 0 < statistics.written < 24
    inconclusive = ("vlm_http_500", "vlm_malformed", "vlm_unclear")
    assert all(statistics.rejects[reason] > 0 for reason in (*inconclusive, "vlm_no"))
    lost = sum(statistics.rejects[r] for r in (*inconclusive, "gave_up"))
    assert statistics.written + lost == 24  # "no" is drawn again, no answer is left out
    assert "OPENAI" in json.dumps(run.manifest())  # the variable's name, never a key


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "example.org", "model": "m"}, "judge-url"),
        ({"url": "http://x/v1", "model": ""}, "judge-model"),
        ({"url": "http://x/v1", "model": "m", "timeout_s": 0}, "judge-timeout"),
    ],
)
def test_judge_settings_are_checked(options: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        VlmJudgeConfig(**options)
