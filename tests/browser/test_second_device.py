"""The one-time link in two real browsers: one shows it, the other opens it."""

from playwright.sync_api import Page

from tests.browser.chromium import Chromium, Profile, Tab
from tests.browser.test_console_page import COOKIE, FIRST_WORDS
from tests.live import Relay, bearer


async def user_of(relay: Relay, profile: Profile) -> str:
    session = (await profile.cookies())[COOKIE]
    me = await relay.http.get("/api/me", headers=bearer(session))
    found: str = me.json()["user_id"]
    return found


async def shown_link(tab: Tab) -> str:
    """Open the dialog, and take the link as its button would."""

    def look(page: Page) -> str:
        with page.expect_response("**/api/session/link") as answer:
            page.get_by_label("Open on another device").first.click()
        page.get_by_alt_text("QR code of the link").wait_for()
        link: str = answer.value.json()["link"]
        return link

    return await tab.do(look)


async def test_one_browser_shows_a_link_and_another_becomes_the_same_user(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as laptop, chromium.profile() as phone:
        shows = await laptop.open(relay.url)
        await shows.shows(FIRST_WORDS)
        link = await shown_link(shows)
        await shows.shows("Good once, for 4:5")
        width = "document.querySelector('#device img').naturalWidth"
        assert await shows.run(f"{width} > 0")  # the policy lets the picture be
        await shows.do(lambda page: page.keyboard.press("Escape"))
        assert await shows.run("document.querySelector('#device').open") is False
        await shows.do(lambda page: page.locator("#device img").wait_for(state="detached"))
        assert await shows.run("document.activeElement.id") == "open-device"

        opens = await phone.open(link)
        await opens.shows(FIRST_WORDS)
        assert await opens.run("location.href") == f"{relay.url}/"
        assert await opens.run("history.length") <= 2
        assert await user_of(relay, phone) == await user_of(relay, laptop)
        assert (await phone.cookies())[COOKIE] != (await laptop.cookies())[COOKIE]
        code = link.partition("#link=")[2]
        assert [url for url in opens.requested if code in url and "#" not in url] == []
        assert (shows.complaints, opens.complaints) == ([], [])


async def test_a_browser_that_is_somebody_is_asked_and_may_stay(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as laptop, chromium.profile() as other:
        shows = await laptop.open(relay.url)
        await shows.shows(FIRST_WORDS)
        link = await shown_link(shows)
        opens = await other.open(relay.url)
        await opens.shows(FIRST_WORDS)
        mine = await user_of(relay, other)
        for choice, whose in (
            ("Stay with mine", mine),
            ("Open the other", await user_of(relay, laptop)),
        ):
            await opens.goto("about:blank")
            await opens.goto(link)
            await opens.shows("Open the other stream here?")
            await opens.do(
                lambda page, choice=choice: page.get_by_role("button", name=choice).click()
            )
            await opens.shows(FIRST_WORDS)
            assert await user_of(relay, other) == whose
        await opens.goto("about:blank")
        async with chromium.profile() as third:
            late = await third.open(link)
            await late.shows("This link was used")
            await late.do(lambda page: page.get_by_text("Go on without it").click())
            await late.shows(FIRST_WORDS)
