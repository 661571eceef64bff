# SPDX-License-Identifier: Apache-2.0
"""Who decides whether a composite is valid (paper 3.3 asks a VLM; geometry comes first)."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from amodal_ros.errors import InvalidInputError
from training.taos.config import TaosConfig
from training.taos.target_filter import piece_areas, smallest_target
from training.taos.types import TaosSample

_MIN_VISIBLE_PX = 150


@dataclass(frozen=True)
class Verdict:
    """A judge's answer.

    Attributes:
        accepted: whether the composite may be used.
        reason: snake_case key to count a refusal under; "" when accepted.
        conclusive: False when the judge could not judge; the sample is then left out
            instead of being drawn again.
    """

    accepted: bool
    reason: str = ""
    conclusive: bool = True


def judged(sample: TaosSample, config: TaosConfig, vlm: VlmJudge | None) -> Verdict:
    """Judges by the masks; what they let pass is shown to a VLM where there is one."""
    reason = _refusal_by_masks(sample, config)
    if reason or vlm is None:
        return Verdict(accepted=not reason, reason=reason)
    return vlm.judge(sample)


def _refusal_by_masks(sample: TaosSample, config: TaosConfig) -> str:
    """By how much is hidden, what is left, and in how many pieces; "": none."""
    area = int(np.count_nonzero(sample.amodal))
    share = area / sample.amodal.size
    if not smallest_target(sample.amodal, config) <= share <= config.target_area[1]:
        return "judge_target_size"
    rate = sample.occlusion_rate
    mode = sample.provenance.get("mode")
    if mode != "occluded" and rate > 0.0:
        return "judge_unwanted_overlap"
    if mode == "occluded" and rate > config.overlap[1]:
        return "judge_overlap_high"
    moving = "frame" in sample.provenance  # a clip is judged by its peak elsewhere
    if mode == "occluded" and rate < config.overlap[0] and not moving:
        return "judge_overlap_low"
    if int(np.count_nonzero(sample.visible)) < _MIN_VISIBLE_PX:
        return "judge_visible_small"
    pieces = int(np.count_nonzero(piece_areas(sample.visible) >= 0.03 * area))
    if pieces > config.max_fragments:
        return "judge_fragments"
    return ""


LOGGER = logging.getLogger(__name__)
_MAX_REPLY_BYTES = 1 << 20
_RETRY_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
QUESTION = (
    "The picture on the left shows a scene; on the right the same scene with one object outlined "
    "in green. Objects may have been pasted over it. Is this a valid training example: can the "
    "outlined object still be recognised, is its outline that of one whole object, and could "
    "whatever hides it plausibly stand in front of it? Answer with one word, yes or no."
)


@dataclass(frozen=True, kw_only=True)
class VlmJudgeConfig:
    """How to reach the model.

    Attributes:
        url: base URL up to and including ``/v1``, or the full chat completions URL.
        model: model name sent with each request.
        key_variable: environment variable with the API key; never written anywhere.
        timeout_s: of one request.
        retries: further requests after a failed one.
        backoff_s: pause before the first retry; doubles each time.
        pause_after: samples in a row without an answer after which asking pauses.
        pause_s: how long it pauses.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 30.0
    retries: int = 2
    backoff_s: float = 1.0
    pause_after: int = 10
    pause_s: float = 60.0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            InvalidInputError: naming the setting.
        """
        if not re.match(r"https?://[^/]+", self.url):
            raise InvalidInputError(f"--judge-url: expected http(s)://host..., got {self.url!r}")
        if not self.model:
            raise InvalidInputError("--judge-model: expected a model name, got none")
        if self.timeout_s <= 0 or self.retries < 0:
            raise InvalidInputError(
                "--judge-timeout and --judge-retries: expected above 0 and at least 0, got "
                f"{self.timeout_s} and {self.retries}"
            )


class _NoAnswerError(Exception):
    """The endpoint gave no usable answer; `reason` is counted, `again` allows a retry."""

    def __init__(self, reason: str, again: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


class VlmJudge:
    """Asks yes or no about each composite.

    "No" is a refusal; time-outs, errors and other answers are inconclusive. Both keep the
    sample out and are counted by reason, and none of them ends a run.
    """

    def __init__(self, config: VlmJudgeConfig) -> None:
        """Keeps the settings; nothing is contacted yet."""
        self._config = config
        url = config.url.rstrip("/")
        self._url = url if url.endswith("/chat/completions") else f"{url}/chat/completions"
        self._silent = 0
        self._resume_at = 0.0

    def judge(self, sample: TaosSample) -> Verdict:
        """Looks at one composite; it does not raise for one it dislikes."""
        if time.monotonic() < self._resume_at:
            return Verdict(accepted=False, reason="vlm_paused", conclusive=False)
        body = json.dumps(self._request(sample)).encode("utf-8")
        reason = ""
        for attempt in range(self._config.retries + 1):
            if attempt:
                time.sleep(self._config.backoff_s * 2 ** (attempt - 1))
            try:
                accepted = self._ask(body)
            except _NoAnswerError as error:
                reason = error.reason
                if not error.again:
                    break
                continue
            self._silent = 0
            return Verdict(accepted=accepted, reason="" if accepted else "vlm_no")
        self._note_silence(reason)
        return Verdict(accepted=False, reason=reason, conclusive=False)

    def _note_silence(self, reason: str) -> None:
        self._silent += 1
        LOGGER.warning("judge %s gave no answer (%s); sample left out", self._url, reason)
        if self._silent >= self._config.pause_after:
            LOGGER.error(
                "judge %s: %d samples in a row without an answer; not asked for %.0f s",
                self._url,
                self._silent,
                self._config.pause_s,
            )
            self._silent = 0
            self._resume_at = time.monotonic() + self._config.pause_s

    def _request(self, sample: TaosSample) -> dict[str, Any]:
        picture = base64.b64encode(judge_picture(sample)).decode("ascii")
        content = [
            {"type": "text", "text": QUESTION},
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}},
        ]
        return {
            "model": self._config.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": 16,
        }

    def _ask(self, body: bytes) -> bool:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self._config.key_variable)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self._url, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self._config.timeout_s) as reply:
                data = reply.read(_MAX_REPLY_BYTES)
        except urllib.error.HTTPError as error:
            error.close()
            again = error.code in _RETRY_STATUS
            raise _NoAnswerError(f"vlm_http_{error.code}", again) from error
        except TimeoutError as error:
            raise _NoAnswerError("vlm_timeout", again=True) from error
        except urllib.error.URLError as error:
            timed_out = isinstance(error.reason, TimeoutError)
            reason = "vlm_timeout" if timed_out else "vlm_unreachable"
            raise _NoAnswerError(reason, again=True) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _NoAnswerError("vlm_unreachable", again=True) from error
        return parse_answer(data)


def parse_answer(data: bytes) -> bool:
    """Yes or no from the bytes of a chat completion.

    Raises:
        _NoAnswerError: if they hold neither.
    """
    try:
        content = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise _NoAnswerError("vlm_malformed", again=True) from error
    words = re.findall(r"[a-z]+", content.lower()) if isinstance(content, str) else []
    if "yes" in words and "no" not in words:
        return True
    if "no" in words and "yes" not in words:
        return False
    raise _NoAnswerError("vlm_unclear", again=True)


def judge_picture(sample: TaosSample) -> bytes:
    """JPEG with the composite on the left and the target's outline on the right."""
    marked = np.ascontiguousarray(sample.image[..., ::-1])
    plain = marked.copy()
    outlines, _ = cv2.findContours(
        sample.amodal.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(marked, outlines, -1, (60, 220, 60), 2)
    done, data = cv2.imencode(".jpg", np.hstack([plain, marked]))
    if not done:
        raise OSError("OpenCV could not encode the judge's picture")
    return data.tobytes()
