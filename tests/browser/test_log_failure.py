"""A task that failed leads to its failure, by a button and by a key."""

from tests.support.browser.chromium import Chromium
from tests.support.browser.log_rows import CURRENT, keys
from tests.support.browser.visits import first_visit, hook_of, press, publish, tell, until
from tests.support.relay_server import Relay

LATER = 1_500  # events of no task, more than a page load reads
BETWEEN = "\n".join(f"cleaning up {number}" for number in range(60))
NO_OUTPUT = "#log .chips button[data-kind=output]"


async def test_a_failure_is_led_to(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "build", title="Build")
        await tell(relay, hook, "log", "build", message="and so on", stream="stderr")
        await tell(relay, hook, "log", "build", message="no such file", level="error")
        await tell(relay, hook, "log", "build", message=BETWEEN)
        await tell(relay, hook, "task_failed", "build", exit_code=2, message="it broke")
        await tell(relay, hook, "task_started", "other", title="Other")
        later = {"event_type": "log", "ts": "2026-01-31T12:00:00Z"}
        await publish(
            relay, hook, [{**later, "payload": {"message": f"{n}"}} for n in range(LATER)]
        )
        await tab.goto(f"{relay.url}/#task=other")
        await tab.shows("started")
        button = tab.do(lambda page: page.get_by_role("button", name="Jump to the failure").count())
        assert await button == 0  # it has not failed

        await tab.goto(f"{relay.url}/#task=build")
        await press(tab, "Jump to the failure")  # far above the end, so this is first
        await until(tab, CURRENT, "no such file")
        assert await tab.run("location.hash") == "#task=build&line=3"
        await press(tab, "Jump to the failure")
        await until(tab, CURRENT, "failed  exit 2  it broke")
        await tab.do(lambda page: page.go_back())
        await until(tab, CURRENT, "no such file")

        # whatever is filtered
        await tab.do(lambda page: page.locator(NO_OUTPUT).click())
        await tab.do(lambda page: page.get_by_label("Search the log").fill("of no line"))
        await tab.shows("Nothing matches.")
        await tab.run("document.activeElement.blur()")
        await keys(tab, "e")
        await until(tab, CURRENT, "failed  exit 2  it broke")
        assert await tab.run("search.value") == ""
        await keys(tab, "e")
        await until(tab, CURRENT, "no such file")
        assert tab.complaints == []
