"""The pages pass axe-core's rules in every state, work by keyboard alone, and stand still."""

from collections.abc import AsyncIterator

import pytest

from tests.support.browser.axe import PHONE, faults
from tests.support.browser.chromium import Chromium, Profile, Tab
from tests.support.browser.visits import (
    FIRST_WORDS,
    first_visit,
    hook_of,
    is_live,
    press,
    session_of,
    shown_link,
    tell,
)
from tests.support.relay_server import Relay, bearer, running_relay

ESCAPES = "".join(f"\x1b[{code}mcolour {code} " for code in (*range(30, 38), *range(90, 98), 0, 2))


@pytest.fixture
async def profile(chromium: Chromium) -> AsyncIterator[Profile]:
    async with chromium.profile() as memory:
        yield memory


async def keys(tab: Tab, *names: str) -> str:
    """Press them; which element has the focus then, by its id or its words."""
    for name in names:
        await tab.do(lambda page, name: page.keyboard.press(name), name)
    focused: str = await tab.run(
        "document.activeElement.id || document.activeElement.textContent.trim()"
    )
    return focused


async def search(tab: Tab, text: str) -> None:
    await tab.do(lambda page: page.get_by_label("Search the log").fill(text))


async def an_afternoon(relay: Relay, hook: str) -> None:
    """Tasks in every state, and every colour a log has."""
    await tell(relay, hook, "task_started", "build", title="Build the wheel")
    await tell(relay, hook, "log", "build", message=ESCAPES)
    for level in ("info", "warn", "error", "debug"):
        await tell(relay, hook, "log", "build", level=level, message=f"said as {level}")
    await tell(relay, hook, "task_progress", "build", progress=0.42, message="epoch 3")
    await tell(relay, hook, "task_started", "train")
    await tell(relay, hook, "task_started", "deploy", title="Deploy to the north")
    await tell(relay, hook, "task_progress", "deploy", progress=0.9)
    await tell(relay, hook, "task_failed", "deploy", exit_code=2, message="no route")
    for number in range(6):  # as many hues as tasks have
        await tell(relay, hook, "log", f"job-{number}", message="a line")
        await tell(relay, hook, "task_succeeded", f"job-{number}", title=f"Job {number}")


async def test_axe_finds_a_planted_fault(relay: Relay, profile: Profile) -> None:
    tab = await first_visit(relay, profile)
    await tab.run("""() => {
      const faint = document.createElement('p');
      faint.textContent = 'Who can read this?';
      faint.style.color = 'light-dark(#131a16, #333)';
      document.querySelector('main').prepend(faint, document.createElement('button'));
    }""")
    found = await faults(tab)
    assert len(found) == 4
    assert [fault for fault in found if fault.startswith("light, 390: button-name: <button>")]
    assert [fault for fault in found if fault.startswith("dark, 1280: color-contrast: <p")]


async def test_the_first_visit_is_accessible(relay: Relay, profile: Profile) -> None:
    tab = await first_visit(relay, profile)
    assert await faults(tab) == []
    await press(tab, "Create my first token")
    await tab.shows("This token is shown once.")
    assert await faults(tab) == []
    await tell(relay, await hook_of(relay, profile), "task_started", "build")
    await tab.shows("Now run a command of your own")
    assert await faults(tab) == []


async def test_tasks_and_their_log_are_accessible(relay: Relay, profile: Profile) -> None:
    tab = await first_visit(relay, profile)
    hook = await hook_of(relay, profile)
    await an_afternoon(relay, hook)
    await tab.shows("Job 5")
    assert await faults(tab) == []  # on the phone: the tasks
    await tab.do(lambda page: page.set_viewport_size(PHONE))
    await press(tab, "Log")
    await press(tab, "Progress")
    await search(tab, "a")
    await tab.do(lambda page: page.locator("mark").first.wait_for())
    await press(tab, "Next line found")
    await tab.shows("1 of ")
    assert await faults(tab) == []  # on the phone: the log
    await tab.shows("Paused")
    await tell(relay, hook, "log", "build", message="another")
    await tab.shows("1 new line")
    assert await faults(tab) == []
    await search(tab, "nobody said this")
    await tab.shows("Nothing matches.")
    assert await faults(tab) == []


async def test_the_token_list_is_accessible(relay: Relay, profile: Profile) -> None:
    tab = await first_visit(relay, profile)
    await press(tab, "Tokens")
    await tab.shows("No tokens yet")
    assert await faults(tab) == []
    await tab.do(lambda page: page.get_by_label("Name").fill("laptop"))
    await press(tab, "Create token")
    await tab.shows("This token is shown once.")
    assert await faults(tab) == []
    await press(tab, "Revoke laptop")
    await press(tab, "End this session")
    await tab.shows("it is lost for good")
    assert await faults(tab) == []


async def test_the_second_device_dialog_is_accessible(
    relay: Relay, profile: Profile, chromium: Chromium
) -> None:
    tab = await profile.open("about:blank")
    await tab.do(lambda page: page.clock.install())
    await tab.goto(relay.url)
    link = await shown_link(tab)
    assert await faults(tab) == []
    await tab.do(lambda page: page.clock.fast_forward("05:00"))
    await tab.shows("This link has expired.")
    assert await faults(tab) == []
    async with chromium.profile() as other:
        opens = await first_visit(relay, other)
        await opens.goto("about:blank")
        await opens.goto(link)
        await opens.shows("Open the other stream here?")
        assert await faults(opens) == []


async def test_refusals_and_lost_connections_are_accessible(
    database_url: str, profile: Profile
) -> None:
    async with running_relay(database_url) as relay:
        tab = await profile.open(f"{relay.url}/#link=spent")
        await tab.shows("This link was used")
        assert await faults(tab) == []
        await press(tab, "Continue without it")
        await tab.shows(FIRST_WORDS)
        await tell(relay, await hook_of(relay, profile), "task_started", "build")
        await relay.http.delete("/api/session", headers=bearer(await session_of(profile)))
        await tab.shows("Your session has ended")
        assert await faults(tab) == []
        await press(tab, "Start a new stream")
        await is_live(tab)
    await tab.shows("Connection lost")
    assert await faults(tab) == []
    async with running_relay(database_url, RELAY_OPEN_SIGNUP="off") as relay:
        await tab.goto(relay.url)
        await tab.shows("Sign-up is closed")
        assert await faults(tab) == []


async def test_the_page_works_by_keyboard_alone(relay: Relay, profile: Profile) -> None:
    tab = await first_visit(relay, profile)
    assert await keys(tab, "Tab") == "Skip to the stream"
    assert await keys(tab, "Enter") == "main"
    assert await keys(tab, "Tab") == "first-token"
    await keys(tab, "Enter")
    await tab.shows("This token is shown once.")
    assert await keys(tab) == "Copy token"
    await tell(relay, await hook_of(relay, profile), "task_succeeded", "build", title="Build")
    await tab.shows("Now run a command of your own")
    await tab.do(lambda page: page.locator("#guide-done").focus())
    assert await keys(tab, "Enter") == "lines"
    assert await keys(tab, "/") == "search"
    await tab.do(lambda page: page.locator("#lines").focus())
    await keys(tab, "f")
    await tab.shows("Paused")
    await keys(tab, "End")
    await tab.shows("Following")
    await tab.do(lambda page: page.locator("#open-tokens").focus())
    await keys(tab, "Enter")
    await tab.shows("Revoke")
    inside = "document.activeElement.closest('dialog, body')?.id"  # or in the browser's own bars
    for _ in range(15):  # round and round
        await keys(tab, "Tab")
        assert await tab.run(inside) in ("tokens", "")
    assert await keys(tab, "Escape") == "open-tokens"


async def test_the_reference_is_accessible(relay: Relay, profile: Profile) -> None:
    tab = await profile.open(f"{relay.url}/docs")
    # One template writes all calls of a group and all rows of a table: axe sees the first of each.
    await tab.run("""() => {
      for (const one of document.querySelectorAll('main article:not(:first-of-type)')) one.remove();
      for (const one of document.querySelectorAll('main tr:nth-of-type(n + 3)')) one.remove();
      for (const one of document.querySelectorAll('main details')) one.open = true;
    }""")
    assert await faults(tab) == []


async def test_the_not_found_page_is_accessible(relay: Relay, profile: Profile) -> None:
    tab = await profile.open(f"{relay.url}/no/such/page")
    await tab.shows("There is no page at this address.")
    assert await faults(tab) == []
    await tab.do(lambda page: page.set_viewport_size(PHONE))
    assert await tab.run("document.documentElement.scrollWidth <= innerWidth")


async def test_nothing_moves_on_the_page_if_a_person_asks_for_that(
    relay: Relay, chromium: Chromium
) -> None:
    """The other tests ask for it, too: what moves is drawn at each frame."""
    moves = "document.getAnimations().length > 0"
    async with chromium.profile(reduced_motion="no-preference") as lively:
        tab = await first_visit(relay, lively)
        await tab.eventually(moves)
    async with chromium.profile() as still:
        tab = await first_visit(relay, still)
        await is_live(tab)
        assert not await tab.run(moves)
