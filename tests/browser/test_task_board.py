"""The board is the server's: true counts, older tasks by page, lost ones, hidden ones."""

import signal
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page

from tests.support.browser.axe import PHONE, faults
from tests.support.browser.chromium import Chromium, Tab
from tests.support.browser.visits import (
    FIRST_WORDS,
    first_visit,
    hook_of,
    is_live,
    press,
    publish,
    tell,
    until,
)
from tests.support.commands import environment
from tests.support.commands import running as command
from tests.support.databases import statement
from tests.support.processes import send
from tests.support.relay_server import Relay
from tests.support.watched_runs import run

# the board from top to bottom: the state and the title of each task in sight
ROWS = """[...document.querySelectorAll('#cards > li')]
  .map((row) => [row.dataset.state, row.querySelector('.title').textContent])"""
COUNTS = """[...document.querySelectorAll('#filters button:not([hidden])')]
  .map((button) => button.textContent)"""
# their leases run out a moment later, while the page watches
FALL_SILENT = """
    UPDATE tasks SET last_at = now() - interval '3598.5 seconds' WHERE task_id LIKE 'sync-%'
"""


def ended(number: int) -> list[dict[str, Any]]:
    """A task of which every tenth failed, and every other tenth was canceled."""
    failed = number % 10 in (3, 7)
    payload = {"exit_code": 1, "message": "it broke"} if failed else {}
    if number % 10 == 7:
        payload["canceled"] = True
    events: list[tuple[str, dict[str, Any]]] = [
        ("task_started", {"title": f"{'Needle' if number == 5 else 'Job'} {number}"}),
        ("task_failed" if failed else "task_succeeded", payload),
    ]
    return [
        {"event_type": kind, "task_id": f"job-{number}", "ts": "2026-01-31T12:00:00Z", "payload": p}
        for kind, p in events
    ]


async def scroll_to_end(tab: Tab) -> None:
    await tab.run("void (document.getElementById('tasks-scroll').scrollTop = 1e6)")


async def test_counts_are_true_and_older_tasks_come_as_they_are_scrolled_to(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await publish(relay, hook, [event for number in range(340) for event in ended(number)])
        await tell(relay, hook, "task_started", "now", title="Running now")
        await tab.goto(relay.url)
        await tab.shows("Running now")
        await until(tab, COUNTS, ["Running 1", "Failed 34", "All 341"])
        await until(tab, "document.title", "1 running, 34 failed · Relay")
        assert (await tab.run(ROWS))[:2] == [["running", "Running now"], ["succeeded", "Job 339"]]
        assert await tab.run("document.querySelectorAll('#cards > li').length") < 60
        height = "document.querySelector('#cards > li.over').offsetHeight"
        assert await tab.run(height) == 36
        await tab.shows("201 of 341")

        while "Job 0" not in [title for _, title in await tab.run(ROWS)]:
            await scroll_to_end(tab)
            await tab.run("new Promise((drawn) => setTimeout(drawn, 50))")
        await until(tab, "document.getElementById('tasks-shown').textContent", "")

        await tab.goto(relay.url)  # where the search has to ask the server, too
        await tab.do(lambda page: page.get_by_label("Search the titles of tasks").fill("NEEDLE"))
        await until(tab, ROWS, [["succeeded", "Needle 5"]])
        search = "Search the titles of tasks"
        await tab.do(lambda page: page.get_by_label(search).fill("of no task"))
        await tab.shows("No task has “of no task” in its title.")
        await tab.do(lambda page: page.get_by_label("Search the titles of tasks").fill(""))
        await until(tab, f"{ROWS}[0]", ["running", "Running now"])
        await press(tab, "Failed 34")
        await scroll_to_end(tab)
        await until(tab, "document.querySelector('#cards > li')?.ariaSetSize", "34")
        assert {state for state, _ in await tab.run(ROWS)} == {"failed"}
        assert tab.complaints == []


async def test_the_list_is_one_tab_stop_and_goes_by_keys(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await publish(relay, hook, [event for number in range(150) for event in ended(number)])
        await until(tab, f"{ROWS}[0]", ["succeeded", "Job 149"])
        stops = "document.querySelectorAll('#cards [tabindex=\"0\"]').length"
        focused = "document.activeElement.textContent"

        def keys(page: Page, *names: str) -> None:
            for name in names:
                page.keyboard.press(name)

        await tab.do(lambda page: page.get_by_label("Search the titles of tasks").focus())
        await tab.do(keys, "ArrowDown")
        assert [await tab.run(focused), await tab.run(stops)] == ["Job 149", 1]
        for pressed, title in (("j", "Job 148"), ("ArrowDown", "Job 147"), ("k", "Job 148")):
            await tab.do(keys, pressed)
            assert await tab.run(focused) == title
        await tab.do(keys, "End")
        assert await tab.run(focused) == "Job 0"
        assert await tab.run("document.querySelectorAll('#cards > li').length") < 60
        await scroll_to_end(tab)
        await tab.run("void (document.getElementById('tasks-scroll').scrollTop = 0)")
        await tab.do(keys, "k")  # from where it was, although that was out of sight
        assert await tab.run(focused) == "Job 1"
        await tab.do(keys, "/")
        assert await tab.run("document.activeElement.id") == "task-search"
        await tab.do(keys, "Enter", "Home", "Enter")
        await tab.do(lambda page: page.locator("#cards [aria-pressed=true]").wait_for())
        await tab.do(keys, "Escape")
        await tab.do(
            lambda page: page.locator("#cards [aria-pressed=true]").wait_for(state="detached")
        )
        await tab.do(keys, "?")
        await tab.shows("Go through the tasks")
        assert await faults(tab) == []
        await tab.do(keys, "Escape")
        assert await tab.run(focused) == "Job 149"
        assert tab.complaints == []


async def test_lost_tasks_are_seen_and_those_of_one_machine_are_one_notice(
    relay: Relay, chromium: Chromium, database_url: str
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        for number in range(3):
            title = f"Sync {number}"
            await tell(relay, hook, "task_started", f"sync-{number}", title=title, lease_s=3600)
            await tell(relay, hook, "task_progress", f"sync-{number}", progress=0.5)
        await tell(relay, hook, "task_started", "build", title="Build")
        await until(tab, COUNTS, ["Running 4", "Failed 0", "All 4"])
        await statement(database_url, FALL_SILENT)
        await until(tab, COUNTS, ["Running 1", "Lost 3", "Failed 0", "All 4"])
        await tab.shows("3 tasks lost contact together")
        assert [state for state, _ in await tab.run(ROWS)] == ["running", "lost", "lost", "lost"]
        lost = "document.querySelector('#cards > [data-state=lost]')"
        assert await tab.run(f"{lost}.querySelector('.bar').checkVisibility()") is False
        assert (await tab.run(f"{lost}.querySelector('.facts').textContent")).startswith(
            "Lost contact · last heard from"
        )
        assert await tab.run("document.title") == "1 running · Relay"
        assert await faults(tab) == []
        await tab.goto(relay.url)
        await tab.shows("3 tasks lost contact together")  # the same, after a reload

        await tell(relay, hook, "log", "sync-0", message="back again")
        await until(tab, COUNTS, ["Running 2", "Lost 2", "Failed 0", "All 4"])
        await tab.shows("2 tasks lost contact together")
        await press(tab, "Hide them")
        await until(tab, COUNTS, ["Running 2", "Failed 0", "All 2"])
        await tab.do(lambda page: page.locator("#away").wait_for(state="hidden"))
        assert tab.complaints == []


async def test_a_command_that_is_killed_loses_contact(
    relay: Relay, chromium: Chromium, database_url: str, tmp_path: Path
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await hook_of(relay, profile))
        async with command(run("sleep", "300"), tmp_path, env) as started:
            await until(tab, ROWS, [["running", "sleep 300"]])
            runner = psutil.Process(started.process.pid)
            send([runner, *runner.children(recursive=True)], signal.SIGKILL)
            # as if it had been silent for nearly all of its lease
            await statement(database_url, "UPDATE tasks SET last_at = last_at - interval '85 s'")
            await until(tab, ROWS, [["lost", "sleep 300"]])
        await until(tab, COUNTS, ["Running 0", "Lost 1", "Failed 0", "All 1"])
        assert tab.complaints == []


async def test_hidden_tasks_come_back_by_undo_and_from_their_list(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await profile.open("about:blank")
        await tab.do(lambda page: page.clock.install())
        await tab.goto(relay.url)
        await tab.shows(FIRST_WORDS)
        hook = await hook_of(relay, profile)
        await publish(relay, hook, [event for number in range(10) for event in ended(number)])
        await until(tab, COUNTS, ["Running 0", "Failed 1", "All 10"])

        async def hide(title: str) -> None:
            row = f"#cards > li:has(.title:text-is('{title}'))"
            await tab.do(lambda page: page.locator(row).hover())
            await tab.do(lambda page: page.locator(f"{row} .hide-task").click())

        await hide("Job 3")
        await tab.do(lambda page: page.locator("#undo button").focus())
        await until(tab, COUNTS, ["Running 0", "Failed 0", "All 9"])
        await tab.shows("Hidden: Job 3")
        assert await faults(tab) == []
        await tab.do(lambda page: page.clock.fast_forward(60_000))  # it stays with the focus
        await press(tab, "Undo")
        await until(tab, COUNTS, ["Running 0", "Failed 1", "All 10"])

        await press(tab, "Clear succeeded")
        await tab.shows("Cleared 8 tasks")
        await tab.do(lambda page: page.clock.fast_forward(60_000))
        await tab.eventually("() => document.querySelector('#undo').hidden")
        await until(tab, ROWS, [["canceled", "Job 7"], ["failed", "Job 3"]])
        await press(tab, "Show hidden")
        await tab.eventually(f"() => {ROWS}.length === 8")
        await hide("Job 9")  # again: it is shown
        await tab.eventually(f"() => {ROWS}.length === 7")
        await press(tab, "Back to all tasks")
        await until(tab, ROWS, [["succeeded", "Job 9"], ["canceled", "Job 7"], ["failed", "Job 3"]])
        await tab.goto(relay.url)
        await is_live(tab)
        await until(tab, ROWS, [["succeeded", "Job 9"], ["canceled", "Job 7"], ["failed", "Job 3"]])
        await tab.do(lambda page: page.set_viewport_size(PHONE))
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        assert tab.complaints == []


async def test_a_reload_after_six_thousand_later_events_keeps_title_and_start(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "train", title="Train the ranker")
        line = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {"message": "line"}}
        await publish(relay, hook, [{**line, "task_id": "train"}] * 10 + [line] * 6_000)
        await tab.goto(relay.url)
        await until(tab, COUNTS, ["Running 1", "Failed 0", "All 1"])
        assert await tab.run(ROWS) == [["running", "Train the ranker"]]
        assert tab.complaints == []
