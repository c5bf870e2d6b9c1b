"""Relay's own page while answers of the server are late, or are none."""

from collections.abc import Callable

from playwright.sync_api import Route

from tests.support.asking import asking
from tests.support.browser.chromium import Chromium
from tests.support.browser.log_rows import CURRENT
from tests.support.browser.visits import (
    FIRST_WORDS,
    first_visit,
    hook_of,
    is_live,
    press,
    publish,
    session_of,
    until,
    user_of,
)
from tests.support.relay_server import Relay, User, bearer

LINES = 3_000
EARLY, LATE = 1_200, 2_995  # a page load reads the last thousand lines, and a block before them
# the page's reads of earlier lines wait until they are let go
HOLD = """() => {
  const ask = window.fetch;
  window.held = [];
  window.fetch = (url, init) => {
    if (!String(url).includes('/api/events')) return ask(url, init);
    return new Promise((resolve) => { held.push(() => resolve(ask(url, init))); });
  };
  window.letGo = () => {
    window.fetch = ask;
    for (const go of held) go();
  };
}"""
HAS_READ = "() => document.getElementById('earlier').textContent === 'Search earlier lines'"
DRAWN = "new Promise((then) => { requestAnimationFrame(() => requestAnimationFrame(then)); })"
SENDING = "document.querySelector('.ask[data-sending]') !== null"
REFUSED = "Failed to load resource: the server responded with a status of "
PROXY_PAGE = "<!doctype html><title>Log in to this network</title>"


def proxy_page(status: int) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, content_type="text/html", body=PROXY_PAGE)


async def test_an_address_that_is_found_late_leaves_the_log_to_a_newer_one(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        line = {"event_type": "log", "ts": "2026-01-31T12:00:00Z"}
        lines = [{**line, "payload": {"message": f"line {n}"}} for n in range(1, LINES + 1)]
        await publish(relay, await hook_of(relay, profile), lines)
        await tab.goto(relay.url)
        await tab.shows(f"line {LINES}")
        await tab.run(HOLD)
        await tab.run(f"location.hash = '#line={EARLY}'")
        await tab.eventually("() => held.length > 0")
        await tab.run(f"location.hash = '#line={LATE}'")
        await until(tab, CURRENT, f"line {LATE}")
        await tab.run("letGo()")
        await tab.eventually(HAS_READ)
        await tab.run(DRAWN)
        assert await tab.run(CURRENT) == f"line {LATE}"
        await tab.do(lambda page: page.go_back())
        await until(tab, CURRENT, f"line {EARLY}")
        assert tab.complaints == []


async def test_a_problem_does_not_hide_that_the_session_has_ended(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        await is_live(tab)
        answer = await relay.http.delete("/api/session", headers=bearer(await session_of(profile)))
        assert answer.status_code == 204
        await tab.shows("Your session has ended")
        await press(tab, "Play a demo")  # for which the page gets no token
        await until(tab, "document.getElementById('welcome-demo').textContent", "Play a demo")
        await press(tab, "Start a new stream")
        await tab.shows(FIRST_WORDS)
        await is_live(tab)


async def test_a_page_that_a_proxy_puts_in_front_is_no_answer(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await profile.open("about:blank")
        await tab.do(lambda page: page.route("**/api/user", proxy_page(200)))
        await tab.goto(relay.url)
        await tab.shows("Relay does not answer.")
        for status in (401, 403, 429):
            await tab.do(lambda page: page.unroute("**/api/user"))
            await tab.do(lambda page, play: page.route("**/api/user", play), proxy_page(status))
            await press(tab, "Try now")
            await tab.shows(f"Another program answered {status} in place of Relay.")
            await tab.shows("It keeps trying.")
        await tab.do(lambda page: page.unroute("**/api/user"))
        await press(tab, "Try now")
        await tab.shows(FIRST_WORDS)
        await is_live(tab)
        assert [text for text in tab.complaints if not text.startswith(REFUSED)] == []


async def test_an_answer_to_a_question_can_be_given_again_behind_a_proxys_page(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        user = User(relay, await user_of(relay, profile), await session_of(profile))
        async with asking(user, "Deploy?", "--options", "yes,no") as asker:
            await tab.shows("Deploy?")
            for status in (200, 404):
                await tab.do(lambda page, play: page.route("**/answer", play), proxy_page(status))
                await tab.do(lambda page: page.locator(".ask-option", has_text="yes").click())
                await until(tab, SENDING, False)
                await tab.shows("it is not known whether your answer has arrived")
                await tab.do(lambda page: page.unroute("**/answer"))
            await tab.do(lambda page: page.locator(".ask-option", has_text="no").click())
        assert (asker.code, asker.stdout) == (1, b"no\n"), asker.stderr
        assert [text for text in tab.complaints if not text.startswith(REFUSED)] == []
