"""`examples/page/` works as it stands, on an origin that is listed, and on no other."""

from pathlib import Path

import pytest

from tests.browser.chromium import Chromium, Tab
from tests.browser.elsewhere import elsewhere
from tests.live import Relay, bearer, running_relay

EXAMPLE = Path(__file__).parents[2] / "examples" / "page"
ADDRESS = "http://127.0.0.1:8000"  # where the example says that Relay is


async def token_shown(tab: Tab) -> str:
    await tab.do(lambda page: page.click("#producer"))
    await tab.shows("Authorization: Bearer ")
    line = await tab.do(lambda page: page.inner_text("#line"))
    return line.partition("Bearer ")[2].partition("'")[0]


async def say(relay: Relay, hook: str, message: str) -> None:
    event = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {"message": message}}
    answer = await relay.http.post("/api/webhook/cli", json=event, headers=bearer(hook))
    assert answer.status_code == 200, answer.text


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
            await tab.goto(pages.cross_site)  # the same person, after a reload
            await tab.shows('log {"message":"hello <b>there</b>"}')
            # what was refused is told in Relay's words, and a new session is taken
            session = await tab.run("localStorage.getItem('relay session')")
            answer = await relay.http.delete("/api/session", headers=bearer(session))
            assert answer.status_code == 204
            await tab.do(
                lambda page: page.wait_for_function(
                    "(old) => localStorage.getItem('relay session') !== old", arg=session
                )
            )
            await tab.shows("Live")
            await say(relay, await token_shown(tab), "somebody new")
            await tab.shows("somebody new")


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
