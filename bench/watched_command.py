"""Measure `relay run` from the start of its process to the last line on a watcher's socket."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from bench import wire
from bench.generator import TIMEOUT_SECONDS, Watcher, clock, generator, open_watchers
from bench.peer import Peer, PeerInstance
from bench.results import Record
from bench.run_config import RunConfig


def watched_command(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[Record]:
    """`relay run -- seq N`, from the start of the process to the last line on a socket."""
    assert peer.checkout is not None
    (endpoint,) = instance.endpoints(1, True)
    with generator() as load, tempfile.TemporaryDirectory() as home:
        watcher = Watcher(load, endpoint.port, 0, endpoint.stream_request("ws"))
        open_watchers(load, [watcher])
        environ = {
            **os.environ,
            "PYTHONPATH": str(peer.checkout),
            "RELAY_URL": f"http://127.0.0.1:{endpoint.port}",
            "RELAY_TOKEN": endpoint.headers[0].split()[-1],
            "XDG_STATE_HOME": home,
        }
        meter = instance.program.meter()
        began = clock()
        command = [sys.executable, "-m", "relay.cli.main", "run", "--", "seq", str(config.lines)]
        process = subprocess.Popen(
            command, cwd=peer.checkout, env=environ, stdout=subprocess.DEVNULL
        )
        load.run_until(
            lambda: b'"task_succeeded"' in watcher.data[-2_000:], TIMEOUT_SECONDS, "the last line"
        )
        seconds = clock() - began
        busy = meter.read()
        code = process.wait(TIMEOUT_SECONDS)
        good = code == 0 and _lines(watcher) == [str(n) for n in range(1, config.lines + 1)]
        watcher.close()
        yield {
            "case": f"seq {config.lines}",
            "rate": round(config.lines / seconds),
            "unit": "lines/s",
            "seconds": round(seconds, 3),
            "load": dataclasses.asdict(busy),
            "good": good,
            "delivered": good,
            **({} if good else {"wrong": "the lines differ from those that were printed"}),
        }


def _lines(watcher: Watcher) -> list[str]:
    """The command's output, as contained in the events."""
    found: list[str] = []
    for message, _ in wire.messages(watcher.data):
        event = json.loads(message)
        if event.get("event_type") == "log":
            found += event["payload"]["message"].split("\n")
    return found
