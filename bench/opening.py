"""Measure how long a user with many tasks and events waits for them.

A history of tasks is posted as a producer would. Then its owner asks as a page does: requests, a
new stream by either transport, and the page itself in Chromium. A case is one of these; its figures
are the median and the most of its times, as a client on the same machine sees them, and the size of
the answer.

    make bench BENCH='w10 --peers relay'
"""

import http.client
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from itertools import islice
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import trio

from bench.generator import BenchFailed
from bench.machine import Load
from bench.peer import Peer, PeerInstance
from bench.processes import ProgramMissing
from bench.relay_peer import ask
from bench.run_config import RunConfig
from tests.support.browser.chromium import Chromium, running_chromium
from tests.support.browser.visits import COOKIE
from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, stream
from tests.support.programs import CHROMIUM

# Retention trims none of these events, and those of one user may be as many bytes as they are.
ENVIRON = {"RELAY_RETENTION_EVENTS": str(10**9), "RELAY_RETENTION_BYTES": str(2**40)}
LINES = 1_000  # of a POST
TIMES = 30  # of each request
OPENINGS = 5
FIRST_TASK = "#cards li"
TS = "2026-01-31T12:00:00Z"
NDJSON = "application/x-ndjson"
STEPS = ("task_started", "log", "log", "log", "log", "task_progress")


def opening(peer: Peer, instance: PeerInstance, config: RunConfig) -> Iterator[dict[str, Any]]:
    """Post the history, then measure what its owner asks for; one record for each."""
    records: list[dict[str, Any]] = []
    try:
        trio.run(Measurement(instance, records).run, config.tasks, config.history)
    finally:
        yield from records  # those before a machine without Chromium, too


def history(tasks: int, events: int) -> Iterator[dict[str, object]]:
    """Tasks that run one after the other, 1 in 50 of them never ends, 1 in 10 fails."""
    each = max(events // tasks, 3)
    for task in range(tasks):
        name = {"task_id": f"build-{task}"}
        for step in range(each - 1):
            event_type = "task_started" if step == 0 else STEPS[1 + step % 5]
            payload = {"message": f"step {step} of {each}: compiling the module"}
            if event_type != "log":
                payload |= {"title": f"make test {task % 100}"}
            yield {"event_type": event_type, "ts": TS, **name, "payload": payload}
        if task % 50 == 0:
            yield {"event_type": "log", "ts": TS, **name, "payload": {"message": "still at it"}}
        else:
            end = "task_failed" if task % 10 == 1 else "task_succeeded"
            yield {"event_type": end, "ts": TS, **name, "payload": {"message": "over"}}


class Measurement:
    """One user with a history, and what was measured of it so far."""

    def __init__(self, instance: PeerInstance, records: list[dict[str, Any]]) -> None:
        self._instance = instance
        self._records = records
        self._port = instance.program.port
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        self._session = ask(connection, "POST", "/api/user")["session_token"]
        self._hook = ask(connection, "POST", "/api/token", self._session)["token"]
        connection.close()

    async def run(self, tasks: int, events: int) -> None:
        async with Caller(self._port) as caller:
            cursor = await self._fill(caller, tasks, events)
            began = perf_counter()
            await self._ask(caller, f"/api/tasks?after_cursor={cursor}")
            self._record("the tasks of all events", [(perf_counter() - began) * 1_000])
            for name, path in requests(tasks).items():
                sizes: list[int] = []

                async def request(path: str = path, sizes: list[int] = sizes) -> None:
                    sizes.append(len(await self._ask(caller, path)))

                await self._timed(name, request, TIMES, sizes)
        for transport in TRANSPORTS:
            await self._stream(transport)
        if not any(map(shutil.which, CHROMIUM)):
            raise ProgramMissing("Chromium is not installed")
        with running_chromium() as chromium:
            await self._page(chromium)

    async def _fill(self, caller: Caller, tasks: int, events: int) -> str:
        """Post the history; returns the cursor of its end."""
        steps = history(tasks, events)
        cursor = ""
        while batch := list(islice(steps, LINES)):
            body = "\n".join(map(json.dumps, batch)).encode()
            answer = await caller.call("POST", "/api/webhook/cli", self._hook, body, NDJSON)
            if answer.status != 200:
                raise BenchFailed(f"a batch was answered with {answer.status}")
            cursor = answer.json["cursor"]
        return cursor

    async def _ask(self, caller: Caller, path: str) -> bytes:
        answer = await caller.call("GET", path, self._session)
        if answer.status != 200:
            raise BenchFailed(f"{path} was answered with {answer.status}")
        return answer.body

    async def _stream(self, transport: str) -> None:
        """From the request to the last part of the tasks with which a stream begins."""
        sizes: list[int] = []

        async def open_and_read() -> None:
            size, more = 0, True
            async with stream(self._port, transport, self._session, "?tasks=1") as opened:
                while more:
                    message = await opened.control("tasks")
                    size += len(json.dumps(message))
                    more = message["more"]
            sizes.append(size)

        await self._timed(f"tasks on a new stream over {transport}", open_and_read, OPENINGS, sizes)

    async def _page(self, chromium: Chromium) -> None:
        """From the address to the first task, in a browser that has never been there."""
        url = f"http://127.0.0.1:{self._port}"
        took: list[float] = []

        async def open_page() -> None:
            async with chromium.profile() as profile:
                await profile.do(
                    lambda context: context.add_cookies(
                        [{"name": COOKIE, "value": self._session, "url": url}]
                    )
                )
                began = perf_counter()
                tab = await profile.open(url)
                await tab.do(lambda page: page.locator(FIRST_TASK).first.wait_for())
                took.append((perf_counter() - began) * 1_000)

        for _ in range(OPENINGS + 1):
            await open_page()
        self._record("the page to its first task", took[1:])

    async def _timed(
        self, case: str, act: Callable[[], Awaitable[object]], times: int, sizes: list[int]
    ) -> None:
        """Time that many calls, after one that is not counted."""
        await act()
        meter, took = self._instance.program.meter(), []
        for _ in range(times):
            began = perf_counter()
            await act()
            took.append((perf_counter() - began) * 1_000)
        self._record(case, took, sizes[-1], meter.read())

    def _record(
        self, case: str, took: list[float], size: int = 0, load: Load | None = None
    ) -> None:
        self._records.append(
            {
                "case": case,
                "took_ms": {"p50": round(median(took), 3), "most": round(max(took), 3)},
                **({"kib": round(size / 1024, 1)} if size else {}),
                **({"load": asdict(load)} if load else {}),
                "good": True,
                "delivered": True,
            }
        )


def requests(tasks: int) -> dict[str, str]:
    """What a page asks for, by what it is, with its path."""
    queries: dict[str, dict[str, object]] = {
        "500 tasks": {"limit": 500},
        "500 tasks that ended": {"limit": 500, "state": "succeeded,failed,canceled"},
        "the running ones": {"limit": 500, "state": "running,waiting,lost"},
        "a part of a title": {"limit": 500, "q": "TEST 7"},
        "a title that no task has": {"limit": 500, "q": "nothing like it"},
        "the last 500 of all": {"limit": 500, "after": 501 * 100},
        "one task": {"task_id": f"build-{tasks // 2}"},
    }
    found = {name: f"/api/tasks?{urlencode(query)}" for name, query in queries.items()}
    for by in ("title", "parent"):
        found[f"100 groups by {by}"] = f"/api/tasks/groups?by={by}"
    found["events of one task"] = f"/api/events?task_id=build-{tasks // 2}"
    found["a log to download"] = f"/api/tasks/log?task_id=build-{tasks // 2}"
    return found
