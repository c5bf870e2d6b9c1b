"""Measure how evenly the live page draws while events flood in.

    python -m bench.drawing [--tasks 5000] [--rate 1000] [--seconds 20]

Starts `relay serve` with its embedded database, posts the tasks, opens the page in Chromium and
scrolls until it has read all of them. Then it posts events of running tasks at a fixed rate, four
lines of output to one progress with numbers, and records the time from each frame of the page to
the next, in three views: the board, the board in groups, and the log of one task. Prints the
median, the 99th percentile and the maximum of these times, and the tasks of the page's thread that
took longer than 50 ms. Exits with 1 if a 99th percentile is above 50 ms.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles

import trio

from tests.support.accounts import Account
from tests.support.browser.chromium import Chromium, Tab, running_chromium
from tests.support.browser.visits import COOKIE, is_live, until
from tests.support.client.caller import Caller
from tests.support.ledger import Ledger
from tests.support.relay_process import Program, running

RUNNING = 1_000  # tasks, as many as a stream begins with; the others have ended
POSTS_A_SECOND = 20
LINES = 1_000  # of a POST with history
MOST_MS = 50.0  # the 99th percentile of a page that feels at once
TS = "2026-01-31T12:00:00Z"
NDJSON = "application/x-ndjson"
RECORD = """() => {
  const seen = window.seen = { frames: [], long: [] };
  let before = null;
  const turn = (now) => {
    if (before !== null) seen.frames.push(now - before);
    before = now;
    requestAnimationFrame(turn);
  };
  requestAnimationFrame(turn);
  new PerformanceObserver((list) => {
    seen.long.push(...list.getEntries().map(({ duration }) => duration));
  }).observe({ entryTypes: ['longtask'] });
}"""
ANEW = "Object.values(window.seen).forEach((figures) => { figures.length = 0; })"
ALL_READ = "document.getElementById('tasks-shown').textContent === ''"


async def post(caller: Caller, account: Account, events: list[dict[str, object]]) -> None:
    body = "\n".join(json.dumps({"ts": TS, **event}) for event in events).encode()
    answer = await caller.call("POST", "/api/webhook/cli", account.hook, body, NDJSON)
    assert answer.status == 200, answer


async def fill(caller: Caller, account: Account, tasks: int) -> None:
    """Post the tasks: those that have ended first."""
    events: list[dict[str, object]] = []
    for task in range(tasks):
        name = {"task_id": f"t{tasks - task}"}
        title = {"title": f"make test {task % 100}"}
        events.append({"event_type": "task_started", **name, "payload": title})
        if task < tasks - RUNNING:
            end = "task_failed" if task % 10 == 0 else "task_succeeded"
            events.append({"event_type": end, **name, "payload": {"duration_s": task % 300}})
    for first in range(0, len(events), LINES):
        await post(caller, account, events[first : first + LINES])


async def flood(caller: Caller, account: Account, rate: int, seconds: float) -> float:
    """Post at this rate; returns the events a second that were acknowledged."""
    batch, number = rate // POSTS_A_SECOND, 0
    began = trio.current_time()
    while trio.current_time() < began + seconds:
        await trio.sleep_until(began + number / rate)
        events: list[dict[str, object]] = []
        for at in range(number, number + batch):
            name = {"task_id": f"t{1 + at % RUNNING}"}
            if at % 5 == 0:
                numbers = {"progress": at % 1000 / 1000, "metrics": {"loss": 1 / (1 + at % 97)}}
                events.append({"event_type": "task_progress", **name, "payload": numbers})
            else:
                line = {"message": f"step {at}: compiling the module, 12 warnings"}
                events.append({"event_type": "log", **name, "payload": line})
        await post(caller, account, events)
        number += batch
    return number / (trio.current_time() - began)


async def scroll_to_the_end(tab: Tab) -> None:
    """Until the page has read all tasks."""
    while not await tab.run(ALL_READ):
        await tab.run("void (document.getElementById('tasks-scroll').scrollTop = 1e9)")
        await trio.sleep(0.05)
    await tab.run("void (document.getElementById('tasks-scroll').scrollTop = 0)")


async def group_by_title(tab: Tab) -> None:
    await tab.do(lambda page: page.get_by_label("Group tasks").select_option("title"))
    await tab.do(lambda page: page.locator("#cards .open-group").first.wait_for())


async def open_one(tab: Tab) -> None:
    await tab.do(lambda page: page.get_by_label("Group tasks").select_option(""))
    await tab.do(lambda page: page.locator("#cards .pick-task").first.click())
    await until(tab, "document.getElementById('task-head').hidden", False)


VIEWS: dict[str, Callable[[Tab], Awaitable[None]]] = {
    "the board, all tasks read": scroll_to_the_end,
    "the board in groups": group_by_title,
    "the log of one task": open_one,
}


async def measure(tasks: int, rate: int, seconds: float) -> bool:
    with tempfile.TemporaryDirectory() as folder, running_chromium() as chromium:
        program = Program(Path(folder), RELAY_RATE_LIMITS="off")
        async with running(program), Caller(program.port) as caller:
            account = await Ledger(program).enrol("one", ())
            await fill(caller, account, tasks)
            return await measure_views(program, caller, account, chromium, rate, seconds)


async def measure_views(
    program: Program,
    caller: Caller,
    account: Account,
    chromium: Chromium,
    rate: int,
    seconds: float,
) -> bool:
    good = True
    async with chromium.profile(viewport={"width": 1280, "height": 800}) as profile:
        await profile.do(
            lambda context: context.add_cookies(
                [{"name": COOKIE, "value": account.session, "url": program.url}]
            )
        )
        tab = await profile.open(program.url)
        await is_live(tab)
        await tab.run(RECORD)
        print(f"{'':28} {'p50':>8} {'p99':>8} {'max':>8} ms  frames  longer than 50 ms  events/s")
        for name, show in VIEWS.items():
            await show(tab)
            await tab.run(ANEW)
            posted = await flood(caller, account, rate, seconds)
            seen = await tab.run("window.seen")
            parts = quantiles(seen["frames"], n=100, method="inclusive")
            print(
                f"{name:28} {parts[49]:8.1f} {parts[98]:8.1f} {max(seen['frames']):8.1f} ms"
                f"  {len(seen['frames']):6}  {len(seen['long']):17}  {posted:8.0f}",
                flush=True,
            )
            good &= parts[98] <= MOST_MS
    return good


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.drawing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tasks", type=int, default=5_000, help="at least 1 000, which run")
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each view")
    wanted = parser.parse_args()
    if wanted.tasks < RUNNING or wanted.rate < POSTS_A_SECOND or wanted.seconds <= 0:
        parser.error(f"at least {RUNNING} tasks, {POSTS_A_SECOND} events a second, some seconds")
    return 0 if trio.run(measure, wanted.tasks, wanted.rate, wanted.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
