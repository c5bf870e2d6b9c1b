"""Measure the live page during a flood of ten thousand lines a second: the time between two frames.

A page that freezes has one long frame.
"""

import http.client
import json
import time
from collections.abc import Iterator
from statistics import median, quantiles
from typing import Any

from playwright.sync_api import sync_playwright

from bench.generator import TIMEOUT_SECONDS
from bench.peer import Peer, PeerInstance
from bench.run_config import RunConfig
from tests.support import programs

LINES = 10  # per event, as `relay run` batches them
BATCH = 100  # events per request
REQUEST_INTERVAL_SECONDS = 0.1
BATCHES = 50
WELCOME_TEXT = "Start something in a terminal."

RECORD = """() => {
  window.frames = [];
  let last = performance.now();
  const next = (now) => {
    window.frames.push(now - last);
    last = now;
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}"""
MAKE_TOKEN = "fetch('/api/token', {method: 'POST'}).then((answer) => answer.json())"


def frames(_peer: Peer, instance: PeerInstance, _config: RunConfig) -> Iterator[dict[str, Any]]:
    """Open Relay's page in a headless Chromium and record its frames."""
    (endpoint,) = instance.endpoints(1, True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=programs.chromium(), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.set_default_timeout(TIMEOUT_SECONDS * 1000)
        page.goto(f"http://127.0.0.1:{endpoint.port}/")
        page.get_by_text(WELCOME_TEXT).first.wait_for()
        token = page.evaluate(MAKE_TOKEN)["token"]
        _post_batches(endpoint.port, token, range(1))
        page.get_by_text(_line(BATCH * LINES - 1)).first.wait_for()
        page.evaluate(RECORD)
        _post_batches(endpoint.port, token, range(1, BATCHES))
        page.get_by_text(_line(BATCHES * BATCH * LINES - 1)).first.wait_for()
        found = page.evaluate("window.frames")
        browser.close()
    yield {
        "case": f"{round(BATCH * LINES / REQUEST_INTERVAL_SECONDS)} lines a second",
        "rate": round(1000 / median(found)),
        "unit": "frames/s",
        "frame_ms": {
            "p50": round(median(found), 1),
            "p95": round(quantiles(found, n=20)[-1], 1),
            "longest": round(max(found), 1),
        },
        "good": True,
        "delivered": True,
    }


def _line(number: int) -> str:
    return f"step {number:06} and so on to the end of the line"


def _post_batches(port: int, token: str, batches: range) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    event = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "task_id": "train"}
    begun = time.monotonic()
    for batch in batches:
        time.sleep(
            max(0, begun + (batch - batches.start) * REQUEST_INTERVAL_SECONDS - time.monotonic())
        )
        first = batch * BATCH * LINES
        texts = (
            "\n".join(map(_line, range(at, at + LINES)))
            for at in range(first, first + BATCH * LINES, LINES)
        )
        body = "\n".join(json.dumps({**event, "payload": {"message": text}}) for text in texts)
        connection.request("POST", "/api/webhook/cli", body, headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"posting: {answer.status} {answer.read()[:500]!r}")
        answer.read()
    connection.close()
