"""Relay's own page in a real browser, as a person meets it."""

import trio
from playwright.sync_api import Position

from tests.support.browser.axe import DESKTOP, PHONE, faults
from tests.support.browser.chromium import Chromium, Profile, Tab
from tests.support.browser.page_proxy import relay_behind
from tests.support.browser.visits import (
    FIRST_WORDS,
    first_visit,
    hook_of,
    is_live,
    press,
    say,
    session_of,
    tell,
    watchers,
)
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.ports import HeldPort
from tests.support.relay_server import Relay, bearer, running_relay


def own(relay: Relay, tab: Tab) -> list[str]:
    """What it asked for that is not Relay's."""
    mine = (f"{relay.url}/", "data:", "blob:")
    return [url for url in tab.requested if not url.startswith(mine)]


async def log_of(tab: Tab) -> list[str]:
    """The lines in sight, in order."""
    placed = """[...document.querySelectorAll('.row-line:not([hidden])')].map(
      (row) => [row.getBoundingClientRect().top, row.querySelector('.words').textContent])"""
    return [words for _, words in sorted(await tab.run(placed))]


async def shows_exactly(tab: Tab, lines: list[str]) -> None:
    """Wait for the log itself: a task's card may show its last line earlier."""
    with trio.move_on_after(PATIENCE):
        while await log_of(tab) != lines:  # noqa: ASYNC110 - a page sets no Event
            await trio.sleep(LOOK_EVERY)
    assert await log_of(tab) == lines


async def test_the_page_shows_an_event_live_without_a_complaint_or_a_foreign_request(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile(requests=True) as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await watchers(relay, await session_of(profile), 1)
        await say(relay, hook, "the first words")
        await tab.shows("the first words")
        await say(relay, hook, "<img src=x onerror=alert(1)> & <b>markup</b>")
        await tab.shows("<img src=x onerror=alert(1)> & <b>markup</b>")  # as text
        assert await tab.run("document.querySelectorAll('img, b').length") == 0
        assert tab.complaints == []
        assert own(relay, tab) == []


async def test_a_first_visit_leads_to_a_task(relay: Relay, chromium: Chromium) -> None:
    """With the token that the page shows, and no other way in."""
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await press(tab, "Create my first token")
        await tab.shows("This token is shown once.")
        export = tab.do(
            lambda page: page.locator("#first-lines pre", has_text="RELAY_TOKEN=").text_content()
        )
        before, _, token = (await export).partition(" RELAY_TOKEN=")
        assert before == f"export RELAY_URL={relay.url}"

        await tell(relay, token, "task_started", "build", title="Build the wheel")
        await tab.shows("Build the wheel")
        await tell(relay, token, "task_progress", "build", progress=0.42, message="epoch 3")
        await tab.do(lambda page: page.locator("[role=progressbar][aria-valuenow='42']").wait_for())
        await tab.shows("epoch 3")
        await tab.eventually("document.title === '1 running · Relay'")
        await tell(relay, token, "task_failed", "build", exit_code=2)
        await tab.do(lambda page: page.locator("li[data-state=failed]").wait_for())
        await tab.eventually("document.title === '1 failed · Relay'")

        await tab.goto(relay.url)
        await tab.shows("Build the wheel")
        assert token not in await tab.run("document.body.textContent")
        kept = "JSON.stringify([localStorage, sessionStorage, document.cookie])"
        assert token not in await tab.run(kept)
        assert tab.complaints == []


async def test_a_reload_before_the_first_event_offers_a_new_token(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        names = ["my first token", "my first token (2)", "my first token (3)"]
        for name, offer in zip(
            names, ("Create my first token", "Make a new token", "Make a new token"), strict=True
        ):
            await press(tab, offer)
            await tab.shows("This token is shown once.")
            await tab.goto(relay.url)
            await tab.shows(
                f"Waiting for the first event of {name}. Lost the lines? Make a new token."
            )
        me = await relay.http.get("/api/me", headers=bearer(await session_of(profile)))
        assert sorted(token["name"] for token in me.json()["tokens"]) == names
        assert await faults(tab) == []
        assert tab.complaints == []


async def test_the_page_goes_on_after_a_restart(database_url: str, chromium: Chromium) -> None:
    port = HeldPort()
    bind = f"127.0.0.1:{port.number}"
    async with chromium.profile() as profile:
        async with running_relay(database_url, RELAY_BIND=bind) as relay:
            tab = await first_visit(relay, profile)
            hook = await hook_of(relay, profile)
            await watchers(relay, await session_of(profile), 1)
            await say(relay, hook, "before the restart")
            await tab.shows("before the restart")
        await tab.shows("Connection lost")
        async with running_relay(database_url, RELAY_BIND=bind) as relay:
            await say(relay, hook, "while nobody watched")
            await tab.shows("while nobody watched")
            await say(relay, hook, "after the restart")
            await shows_exactly(
                tab, ["before the restart", "while nobody watched", "after the restart"]
            )
            await is_live(tab)


async def test_the_page_falls_back_where_websockets_are_refused(
    database_url: str, chromium: Chromium
) -> None:
    async with (
        relay_behind(database_url) as (box, relay),
        chromium.profile(requests=True) as profile,
    ):
        box.websockets = "refuse"
        tab = await profile.open("about:blank")
        await tab.do(lambda page: page.clock.install())
        await tab.goto(relay.url)
        await tab.shows(FIRST_WORDS)
        transport = "(it) => document.getElementById('transport').textContent === it"
        await tab.eventually(transport, "SSE")
        hook = await hook_of(relay, profile)
        await say(relay, hook, "by another way")
        await tab.shows("by another way")
        box.websockets = "pass"
        await tab.do(lambda page: page.clock.fast_forward(61_000))  # it tries a minute later
        await tab.eventually(transport, "WebSocket")
        await say(relay, hook, "and back")
        await shows_exactly(tab, ["by another way", "and back"])
        assert own(relay, tab) == []


async def test_a_session_that_ends_elsewhere_cuts_every_tab(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tabs = [await first_visit(relay, profile) for _ in range(2)]
        hook, session = await hook_of(relay, profile), await session_of(profile)
        for tab in tabs:
            await is_live(tab)
        answer = await relay.http.delete("/api/session", headers=bearer(session))
        assert answer.status_code == 204
        for tab in tabs:
            await tab.shows("Your session has ended")
        await say(relay, hook, "for nobody's eyes")
        await press(tabs[0], "Start a new stream")
        await tabs[0].shows(FIRST_WORDS)
        assert await session_of(profile) != session
        await say(relay, await hook_of(relay, profile), "a new stream")
        await shows_exactly(tabs[0], ["a new stream"])
        assert await log_of(tabs[1]) == []


async def test_a_page_with_a_dead_cookie_gets_a_new_user(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        dead = await session_of(profile)
        answer = await relay.http.delete("/api/session", headers=bearer(dead))
        assert answer.status_code == 204
        await tab.goto(relay.url)
        await tab.shows(FIRST_WORDS)
        fresh = await session_of(profile)
        assert fresh != dead
        await watchers(relay, fresh, 1)


async def test_two_users_see_only_their_own_events(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as ada, chromium.profile() as bob:
        people: list[tuple[str, Profile, Tab, str]] = []
        for name, profile in (("Ada", ada), ("Bob", bob)):
            tab = await first_visit(relay, profile)
            people.append((name, profile, tab, await hook_of(relay, profile)))
        for number in range(10):  # in turn, under the same name of a task
            for name, _, _, hook in people:
                await tell(relay, hook, "log", "shared", message=f"{name} says {number}")
        for name, _, tab, _ in people:
            mine = [f"{name} says {number}" for number in range(10)]
            await shows_exactly(tab, mine)
            await tab.goto(relay.url)
            await shows_exactly(tab, mine)
            other = "Bob" if name == "Ada" else "Ada"
            assert other not in await tab.run("document.documentElement.textContent")


async def test_seven_tabs_of_one_user_show_the_same(relay: Relay, chromium: Chromium) -> None:
    """A browser opens six connections to a host at most: a stream a tab would hang the seventh."""
    async with chromium.profile() as profile:
        tabs = [await first_visit(relay, profile) for _ in range(7)]
        hook, session = await hook_of(relay, profile), await session_of(profile)
        await say(relay, hook, "to everybody")
        for tab in tabs:
            await tab.shows("to everybody")
            assert tab.complaints == []
        await watchers(relay, session, 1)
        first = "document.getElementById('transport').textContent === 'WebSocket'"
        (leader,) = [tab for tab in tabs if await tab.run(first)]
        await leader.do(lambda page: page.close())
        tabs.remove(leader)
        await say(relay, hook, "to those who stayed")
        for tab in tabs:
            await shows_exactly(tab, ["to everybody", "to those who stayed"])
        await watchers(relay, session, 1)


FITS = "document.documentElement.scrollWidth <= innerWidth"
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""What was asked to be drawn has been, however late."""


async def test_on_a_phone_the_lines_with_the_token_stay_in_sight(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await tab.do(lambda page: page.set_viewport_size(PHONE))
        await press(tab, "Create my first token")
        await tab.shows("This token is shown once.")
        await tell(relay, await hook_of(relay, profile), "task_started", "build", title="Build")
        await tab.shows("Now run a command of your own")
        token = "document.querySelector('#guide .once').getBoundingClientRect()"
        assert 0 < await tab.run(f"{token}.top") < await tab.run(f"{token}.bottom") < 844
        await tab.do(lambda page: page.get_by_role("button", name="Build").wait_for())
        assert await tab.run(FITS)
        await press(tab, "Show the log")
        await tab.shows("started")  # the log, as the button says
        await press(tab, "Tasks")
        assert await tab.do(lambda page: page.get_by_role("button", name="Build").is_visible())


async def test_a_long_line_scrolls_in_the_log_and_unfolds_where_it_is_pressed(
    relay: Relay, chromium: Chromium
) -> None:
    words = " ".join(f"word{n}" for n in range(60))
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await say(relay, hook, words)
        await tell(relay, hook, "log", level="error", message=f"worse: {words}")
        await say(relay, hook, "a short line")
        await tab.shows("a short line")
        shown = "document.querySelector('.unfolded .words')?.textContent ?? ''"

        async def click(text: str) -> str:
            where: Position = {"x": 200, "y": 8}
            await tab.do(lambda page: page.locator(".row", has_text=text).click(position=where))
            await tab.run(DRAWN)
            unfolded: str = await tab.run(shown)
            return unfolded

        for size in (PHONE, DESKTOP):
            await tab.do(lambda page, size: page.set_viewport_size(size), size)
            if size is PHONE:
                await press(tab, "Log")
            with trio.fail_after(PATIENCE):  # until it is drawn
                while not await tab.run("lines.scrollWidth > lines.clientWidth"):  # noqa: ASYNC110
                    await trio.sleep(0.02)
            assert await tab.run(FITS)
            await tab.run("void (lines.scrollLeft = 400)")
            assert await click("worse: word0") == f"worse: {words}"
            end = "document.querySelector('.unfolded .words').getBoundingClientRect().right"
            assert 0 < await tab.run(end) <= size["width"]
            assert await click("worse: word0") == ""
            # on the phone its time and its link are nowhere else
            assert await click("a short line") == ("a short line" if size is PHONE else "")
        await click("worse: word0")
        assert await faults(tab) == []
        await tab.run("lines.focus()")
        await tab.do(lambda page: page.keyboard.press("Escape"))
        await tab.do(lambda page: page.locator(".unfolded").wait_for(state="detached"))
        assert tab.complaints == []
