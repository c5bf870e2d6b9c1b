"""`examples/page/` works as it stands, on an origin that is listed, and on no other."""

from pathlib import Path

import pytest

from tests.support.browser.axe import faults
from tests.support.browser.chromium import Chromium, Tab
from tests.support.browser.foreign_site import elsewhere
from tests.support.browser.page_proxy import relay_behind
from tests.support.browser.visits import hook_for, say
from tests.support.relay_server import Relay, bearer, running_relay

EXAMPLE = Path(__file__).parents[2] / "examples" / "page"
ADDRESS = "http://127.0.0.1:8000"  # where the example says that Relay is
SESSION = "localStorage.getItem('relay session')"


async def token_shown(tab: Tab) -> str:
    await tab.do(lambda page: page.click("#producer"))
    await tab.shows("Authorization: Bearer ")
    line: str = await tab.do(lambda page: page.inner_text("#line"))
    return line.partition("Bearer ")[2].partition("'")[0]


async def end_session(relay: Relay, tab: Tab) -> None:
    """Wait until the page has noticed, and has another user."""
    session = await tab.run(SESSION)
    answer = await relay.http.delete("/api/session", headers=bearer(session))
    assert answer.status_code == 204
    other = f"(old) => ![null, old].includes({SESSION})"
    await tab.eventually(other, session)


async def test_the_example_page_watches_a_relay_elsewhere(
    database_url: str, chromium: Chromium
) -> None:
    with elsewhere(EXAMPLE) as pages:
        async with (
            running_relay(database_url, CORS=pages.cross_site) as relay,
            chromium.profile() as profile,
        ):
            pages.written[ADDRESS.encode()] = relay.url.encode()
            tab = await profile.open(pages.cross_site)
            await tab.shows("Live")
            hook = await token_shown(tab)
            await say(relay, hook, "hello <b>there</b>")
            await tab.shows('log {"message":"hello <b>there</b>"}')
            assert tab.complaints == []
            assert await profile.cookies() == {}
            assert await faults(tab) == []
            await tab.goto(pages.cross_site)  # the same person, after a reload
            await tab.shows('log {"message":"hello <b>there</b>"}')
            # the page shows Relay's text of the refusal, and takes a new session
            await end_session(relay, tab)
            await tab.shows("Live")
            await say(relay, await token_shown(tab), "somebody new")
            await tab.shows("somebody new")
            shown = await tab.do(lambda page: page.locator("li").all_text_contents())
            assert shown == ['log  {"message":"somebody new"}']  # nothing of the user before


async def test_the_example_without_a_library_shows_each_event_once(
    database_url: str, chromium: Chromium
) -> None:
    with elsewhere(EXAMPLE) as pages:
        async with (
            relay_behind(database_url, CORS=pages.cross_site) as (box, relay),
            chromium.profile() as profile,
        ):
            pages.written[ADDRESS.encode()] = relay.url.encode()
            tab = await profile.open(f"{pages.cross_site}/eventsource.html")
            await tab.shows("Live")
            hook = await hook_for(relay, await tab.run(SESSION))
            for number in range(3):
                await say(relay, hook, f"<b>{number}</b>")
                await tab.shows(f'log {{"message":"<b>{number}</b>"}}')
                await box.cut()
            await box.asked(4)
            shown = await tab.do(lambda page: page.locator("li").all_text_contents())
            assert [number for line in shown for number in "012" if number in line] == [*"012"]
            assert await faults(tab) == []
            assert len(set(box.streams)) == len(box.streams) == 4  # a ticket each
            assert [url for url in box.streams if "/api/rt?" in url] == []
            await end_session(relay, tab)
            await tab.shows("Live")
            await say(relay, await hook_for(relay, await tab.run(SESSION)), "somebody new")
            await tab.shows("somebody new")
            assert await tab.run("document.querySelectorAll('li').length") == 1


@pytest.mark.parametrize("page", ["index.html", "eventsource.html"])
@pytest.mark.parametrize("cors", ["", "https://app.example.com"])
async def test_an_example_page_that_is_not_listed_gets_nothing_and_shows_why(
    database_url: str, chromium: Chromium, cors: str, page: str
) -> None:
    with elsewhere(EXAMPLE) as pages:
        async with running_relay(database_url, CORS=cors) as relay, chromium.profile() as profile:
            pages.written[ADDRESS.encode()] = relay.url.encode()
            tab = await profile.open(f"{pages.cross_site}/{page}")
            await tab.shows(
                f"{relay.url} does not list this page's origin ({pages.cross_site})"
                " in its setting CORS, or is away."
            )
            assert any("CORS policy" in complaint for complaint in tab.complaints)
            assert await tab.run(SESSION) is None
            assert await faults(tab) == []


@pytest.mark.parametrize("page", ["index.html", "eventsource.html"])
async def test_an_example_page_shows_when_relay_is_away(
    database_url: str, chromium: Chromium, page: str
) -> None:
    with elsewhere(EXAMPLE) as pages:
        async with chromium.profile() as profile:
            async with running_relay(database_url, CORS=pages.cross_site) as relay:
                pages.written[ADDRESS.encode()] = relay.url.encode()
                tab = await profile.open(f"{pages.cross_site}/{page}")
                await tab.shows("Live")
                hook = await hook_for(relay, await tab.run(SESSION))
                numbers = '{"n": 1e309, "m": 9007199254740993}'
                answer = await relay.http.post(
                    "/api/webhook/cli",
                    content='{"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": '
                    f"{numbers}}}",
                    headers={**bearer(hook), "Content-Type": "application/json"},
                )
                assert answer.status_code == 200
                await tab.shows('{"n":"≈ Infinity","m":"≈ 9007199254740992"}')
            await tab.shows("or is away.")
