"""A person stops what runs: the button in the head of its task, after a question."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from playwright.sync_api import Route

from tests.support.browser.axe import faults
from tests.support.browser.chromium import Chromium
from tests.support.browser.visits import first_visit, hook_of, press, session_of, tell, until
from tests.support.commands import RELAY, environment
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay, bearer, calls_wait

STATE = "document.getElementById('head-state').textContent"
BUTTON = "document.getElementById('head-stop').querySelector('button').checkVisibility()"


@asynccontextmanager
async def stoppable_run(relay: Relay, hook: str) -> AsyncIterator[trio.Process]:
    """`relay run --stoppable` of a long sleep, once it hears of stops."""
    command = [*RELAY, "run", "--stoppable", "--task-id", "t", "--title", "Train"]
    process = await trio.lowlevel.open_process(
        [*command, "--", "sleep", "600"],
        env=environment(RELAY_URL=relay.url, RELAY_TOKEN=hook),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.wait)
        await calls_wait(relay, 1)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()


async def test_a_run_is_stopped_after_a_question(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        async with stoppable_run(relay, await hook_of(relay, profile)) as run:
            await tab.goto(f"{relay.url}/#task=t")
            await until(tab, STATE, "Running")
            await press(tab, "Stop")
            await tab.shows("A command of relay run gets an interrupt signal, as by Ctrl-C")
            assert await tab.run("document.activeElement.textContent") == "Keep it running"
            assert await faults(tab) == []
            await press(tab, "Keep it running")
            assert run.poll() is None
            await press(tab, "Stop")
            await press(tab, "Stop it")
            with trio.fail_after(PATIENCE):
                assert await run.wait() == 130
        await until(tab, STATE, "Canceled")
        await until(tab, BUTTON, False)
        assert tab.complaints == []


async def test_a_stop_is_for_the_run_that_was_shown(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        session = bearer(await session_of(profile))
        await tell(relay, hook, "task_started", "deaf", title="Deaf")
        await tab.goto(f"{relay.url}/#task=deaf")
        await until(tab, STATE, "Running")
        await until(tab, BUTTON, False)

        await tell(relay, hook, "task_started", "t", title="Train", stoppable=True)
        await tab.goto(f"{relay.url}/#task=t")
        await press(tab, "Stop")
        await tab.shows("Keep it running")
        await tell(relay, hook, "task_started", "t", title="Train", stoppable=True)
        await tab.shows("The run has ended. Nothing was stopped.")
        await tab.do(lambda page: page.locator("dialog[open]").wait_for(state="detached"))
        task = (await relay.http.get("/api/tasks?task_id=t", headers=session)).json()["tasks"][0]
        assert (task["run"], task["stop_requested_at"]) == (2, None)

        await press(tab, "Stop")
        await press(tab, "Stop it")
        await tab.shows("Stopping…")  # its program does not hear of it here
        assert await faults(tab) == []
        await tab.goto(f"{relay.url}/?again#task=t")
        await tab.shows("Stopping…")
        await tell(relay, hook, "task_failed", "t", canceled=True)
        await until(tab, STATE, "Canceled")
        await until(tab, "document.getElementById('head-stop').checkVisibility()", False)
        assert tab.complaints == []


async def test_a_stop_that_comes_too_late_is_reported(relay: Relay, chromium: Chromium) -> None:
    held: list[Route] = []
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "t", title="Train", stoppable=True)
        await tab.goto(f"{relay.url}/#task=t")
        await tab.do(lambda page: page.route("**/api/tasks/stop", lambda it: held.append(it)))
        await press(tab, "Stop")
        await press(tab, "Stop it")
        await tab.shows("Stopping…")
        await tell(relay, hook, "task_succeeded", "t")
        await until(tab, STATE, "Succeeded")
        await tab.do(lambda _: held[0].continue_())
        await tab.shows("The run has ended. Nothing was stopped.")
