"""Measure how long a user with many tasks and events waits for them.

    python -m bench.opening [--tasks 10000] [--events 1000000]

Starts `relay serve` with its embedded database, posts the events as a producer would, and then asks
as a page does. A first table has the answers to requests, a second one what a stream and Chromium
show first. Times are medians and maxima in milliseconds, as a client on the same machine sees them.
Statements of the projection are counted by the server's own metrics.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import trio

from tests.support.accounts import Account
from tests.support.browser.chromium import Chromium, running_chromium
from tests.support.browser.visits import COOKIE
from tests.support.client.caller import Caller
from tests.support.client.streams import TRANSPORTS, stream
from tests.support.ledger import Ledger
from tests.support.relay_process import Program, running

LINES = 1_000  # of a POST
TIMES = 30  # of each request
OPENINGS = 5
KEPT = str(10**9)  # retention trims none of these events
FIRST_TASK = "#cards li"
TS = "2026-01-31T12:00:00Z"
NDJSON = "application/x-ndjson"
STEPS = ("task_started", "log", "log", "log", "log", "task_progress")


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


async def fill(caller: Caller, account: Account, tasks: int, events: int) -> str:
    """Post the history; returns the cursor of its end."""
    steps = history(tasks, events)
    cursor = ""
    while batch := list(islice(steps, LINES)):
        body = "\n".join(map(json.dumps, batch)).encode()
        answer = await caller.call("POST", "/api/webhook/cli", account.hook, body, NDJSON)
        assert answer.status == 200, answer
        cursor = answer.json["cursor"]
    return cursor


async def timed(act: Callable[[], Awaitable[object]], times: int) -> list[float]:
    """Milliseconds of each of so many calls, the first of which is not counted."""
    await act()
    found = []
    for _ in range(times):
        began = trio.current_time()
        await act()
        found.append((trio.current_time() - began) * 1_000)
    return found


def print_row(name: str, milliseconds: list[float], size: int = 0) -> None:
    kib = f"{size / 1024:8.1f} KiB" if size else ""
    print(f"{name:44} {median(milliseconds):8.1f} {max(milliseconds):8.1f} ms {kib}", flush=True)


async def measure_requests(caller: Caller, account: Account, tasks: int) -> None:
    middle = f"build-{tasks // 2}"
    rows: dict[str, dict[str, object]] = {
        "500 tasks": {"limit": 500},
        "500 tasks that ended": {"limit": 500, "state": "succeeded,failed,canceled"},
        "the running ones": {"limit": 500, "state": "running,waiting,lost"},
        "a part of a title": {"limit": 500, "q": "TEST 7"},
        "a title that no task has": {"limit": 500, "q": "nothing like it"},
        "the last 500 of all": {"limit": 500, "after": 501 * 100},
        "one task": {"task_id": middle},
    }
    for name, query in rows.items():
        await measure_request(caller, account, name, f"/api/tasks?{urlencode(query)}")
    for by in ("title", "parent"):
        path = f"/api/tasks/groups?by={by}"
        await measure_request(caller, account, f"100 groups by {by}", path)
    await measure_request(caller, account, "events of one task", f"/api/events?task_id={middle}")
    await measure_request(caller, account, "a log to download", f"/api/tasks/log?task_id={middle}")


async def measure_request(caller: Caller, account: Account, name: str, path: str) -> None:
    size = 0

    async def ask() -> None:
        nonlocal size
        answer = await caller.call("GET", path, account.session)
        assert answer.status == 200, answer
        size = len(answer.body)

    print_row(name, await timed(ask, TIMES), size)


async def measure_stream(port: int, account: Account, transport: str) -> None:
    size = 0

    async def open_and_read() -> None:
        nonlocal size
        async with stream(port, transport, account.session, "?tasks=1") as opened:
            size, more = 0, True
            while more:
                message = await opened.control("tasks")
                size += len(json.dumps(message))
                more = message["more"]

    print_row(f"tasks on a new stream, {transport}", await timed(open_and_read, OPENINGS), size)


async def measure_page(program: Program, account: Account, chromium: Chromium) -> None:
    """From the address to the first task, in a browser that has never been there."""

    async def open_page() -> None:
        async with chromium.profile() as profile:
            await profile.do(
                lambda context: context.add_cookies(
                    [{"name": COOKIE, "value": account.session, "url": program.url}]
                )
            )
            began = trio.current_time()
            tab = await profile.open(program.url)
            await tab.do(lambda page: page.locator(FIRST_TASK).first.wait_for())
            found.append((trio.current_time() - began) * 1_000)

    found: list[float] = []
    for _ in range(OPENINGS + 1):
        await open_page()
    print_row("the page, to its first task", found[1:])


async def measure(tasks: int, events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = Program(
            Path(folder), RELAY_RETENTION_EVENTS=KEPT, RELAY_RETENTION_BYTES=str(2**40)
        )
        async with running(program), Caller(program.port) as caller:
            account = await Ledger(program).enrol("one", ())
            began = trio.current_time()
            cursor = await fill(caller, account, tasks, events)
            posted = trio.current_time()
            await caller.call("GET", f"/api/tasks?after_cursor={cursor}", account.session)
            folded = trio.current_time()
            print(f"{events / (posted - began):10.0f} events/s posted")
            print(f"{folded - posted:10.3f} s until the tasks had all of them")
            await print_projection(program, folded - began)
            await measure_requests(caller, account, tasks)
            for transport in TRANSPORTS:
                await measure_stream(program.port, account, transport)
            with running_chromium() as chromium:
                await measure_page(program, account, chromium)


async def print_projection(program: Program, seconds: float) -> None:
    rounds = await program.metric("relay_projection_round_duration_seconds_count")
    spent = await program.metric("relay_projection_round_duration_seconds_sum")
    back = await program.metric("relay_projection_read_back_total")
    print(f"{rounds / seconds:10.2f} rounds a second, {spent / rounds * 1_000:.1f} ms each")
    print(f"{back:10.0f} events read back from the journal")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.opening",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    wanted = parser.parse_args()
    trio.run(measure, wanted.tasks, wanted.events)
    return 0


if __name__ == "__main__":
    sys.exit(main())
