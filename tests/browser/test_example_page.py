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
    """Wait until the page has noticed, and is somebody else."""
    session = await tab.run(SESSION)
    answer = await relay.http.delete("/api/session", headers=bearer(session))
    assert answer.status_code == 204
    other = f"(old) => ![null, old].includes({SESSION})"
    await tab.do(lambda page: page.wait_for_function(other, arg=session))


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
            # what was refused is told in Relay's words, and a new session is taken
            await end_session(relay, tab)
            await tab.shows("Live")
            await say(relay, await token_shown(tab), "somebody new")
            await tab.shows("somebody new")


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


@pytest.mark.parametrize("cors", ["", "https://app.example.com"])
async def test_the_example_page_gets_nothing_where_it_is_not_listed(
    database_url: str, chromium: Chromium, cors: str
) -> None:
    with elsewhere(EXAMPLE) as pages:
        async with running_relay(database_url, CORS=cors) as relay, chromium.profile() as profile:
            pages.written[ADDRESS.encode()] = relay.url.encode()
            tab = await profile.open(pages.cross_site)
            await tab.do(lambda page: page.wait_for_load_state("networkidle"))
            assert any("CORS policy" in complaint for complaint in tab.complaints)
            assert await tab.run("document.getElementById('state').textContent") == "Connecting"
