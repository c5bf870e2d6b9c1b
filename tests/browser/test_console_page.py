"""Relay's own page in a real browser, as a person meets it."""

from tests.browser.chromium import Chromium, Tab
from tests.browser.visits import FIRST_WORDS, first_visit, hook_of, say, session_of, watchers
from tests.faults.program import free_port
from tests.live import Relay, bearer, running_relay


def own(relay: Relay, tab: Tab) -> list[str]:
    """What it asked for that is not Relay's."""
    mine = (f"{relay.url}/", "data:", "blob:")
    return [url for url in tab.requested if not url.startswith(mine)]


async def test_the_page_shows_an_event_live_without_a_complaint_or_a_foreign_request(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
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


async def test_the_page_goes_on_after_a_restart(database_url: str, chromium: Chromium) -> None:
    bind = f"127.0.0.1:{free_port()}"
    async with chromium.profile() as profile:
        async with running_relay(database_url, RELAY_BIND=bind) as relay:
            tab = await first_visit(relay, profile)
            hook = await hook_of(relay, profile)
            await watchers(relay, await session_of(profile), 1)
            await say(relay, hook, "before the restart")
            await tab.shows("before the restart")
        async with running_relay(database_url, RELAY_BIND=bind) as relay:
            await say(relay, hook, "while nobody watched")
            await tab.shows("while nobody watched")
            await say(relay, hook, "after the restart")
            await tab.shows("after the restart")
            shown = await tab.do(lambda page: page.get_by_text("before the restart").count())
            assert shown == 1


async def test_a_page_with_a_dead_cookie_becomes_somebody_anew(
    relay: Relay, chromium: Chromium
) -> None:
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


async def test_seven_tabs_of_one_person_all_see_the_same(relay: Relay, chromium: Chromium) -> None:
    """A browser opens six connections to a host at most: a stream a tab would hang the seventh."""
    async with chromium.profile() as profile:
        tabs = [await first_visit(relay, profile) for _ in range(7)]
        hook = await hook_of(relay, profile)
        await say(relay, hook, "to everybody")
        for tab in tabs:
            await tab.shows("to everybody")
            assert tab.complaints == []
