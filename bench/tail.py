"""Measure how fast `relay tail` shows a flood: from the first POST to the last line."""

import http.client
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from typing import Any

from bench.generator import TIMEOUT_SECONDS, clock
from bench.peer import Endpoint, Peer, PeerInstance
from bench.run_config import RunConfig

LINES = 20_000
BATCH = 1_000
WARM = "warm"  # posted before the measurement
FLOOD = "a line of a build"


def tail(peer: Peer, instance: PeerInstance, _config: RunConfig) -> Iterator[dict[str, Any]]:
    """Post one user's events in batches, and read them from a pseudo-terminal."""
    assert peer.checkout is not None
    (endpoint,) = instance.endpoints(1, True)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 100))
    with tempfile.TemporaryDirectory() as home:
        environ = {
            **os.environ,
            "PYTHONPATH": str(peer.checkout),
            "RELAY_URL": f"http://127.0.0.1:{endpoint.port}",
            "RELAY_TOKEN": endpoint.headers[0].split()[-1],
            "HOME": home,
            "TERM": "xterm-256color",
        }
        command = [sys.executable, "-m", "relay.cli.main", "tail", "--after", "oldest"]
        process = subprocess.Popen(
            command, cwd=peer.checkout, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        try:
            _post(endpoint, WARM, BATCH)
            _shown(ours, WARM, BATCH)
            began = clock()
            _post(endpoint, FLOOD, LINES)
            found = _shown(ours, FLOOD, LINES)
            seconds = clock() - began
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    good = found == list(range(LINES))
    yield {
        "case": f"{LINES} lines",
        "rate": round(LINES / seconds),
        "unit": "lines/s",
        "seconds": round(seconds, 3),
        "good": good,
        "delivered": good,
        **({} if good else {"wrong": "the lines differ from those that were posted"}),
    }


def _post(endpoint: Endpoint, message: str, count: int) -> None:
    headers = dict(header.split(": ", 1) for header in endpoint.headers)
    headers["Content-Type"] = "application/x-ndjson"
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=TIMEOUT_SECONDS)
    event = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "task_id": "t"}
    for first in range(0, count, BATCH):
        payloads = ({"message": f"{message} {n}"} for n in range(first, first + BATCH))
        lines = [json.dumps({**event, "payload": payload}) for payload in payloads]
        connection.request("POST", "/api/webhook/cli", "\n".join(lines), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"posting: {answer.status} {answer.read()[:500]!r}")
        answer.read()
    connection.close()


def _shown(terminal: int, message: str, count: int) -> list[int]:
    """The numbers of the lines that the terminal shows, up to the last one."""
    shown, last = bytearray(), b"%s %d\r" % (message.encode(), count - 1)
    deadline = clock() + TIMEOUT_SECONDS
    while shown.find(last, max(0, len(shown) - 70_000)) < 0:
        if not select.select([terminal], [], [], deadline - clock())[0]:
            raise RuntimeError(f"{message!r} was not shown completely")
        shown += os.read(terminal, 65_536)
    return [int(number) for number in re.findall(rb"%s (\d+)\r" % message.encode(), shown)]
