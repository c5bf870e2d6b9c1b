"""The one-time link in two real browsers: one shows it, the other opens it."""

import re

from tests.support.browser.chromium import Chromium
from tests.support.browser.visits import (
    FIRST_WORDS,
    first_visit,
    press,
    session_of,
    shown_link,
    user_of,
)
from tests.support.relay_server import Relay

COUNTS_DOWN = re.compile(r"Works once, for [0-4]:[0-5]\d")


async def test_one_browser_shows_a_link_and_another_becomes_the_same_user(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as laptop, chromium.profile(requests=True) as phone:
        shows = await first_visit(relay, laptop)
        link = await shown_link(shows)
        await shows.do(lambda page: page.get_by_text(COUNTS_DOWN).first.wait_for())
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
        assert await session_of(phone) != await session_of(laptop)
        code = link.partition("#link=")[2]
        assert [url for url in opens.requested if code in url and "#" not in url] == []
        assert (shows.complaints, opens.complaints) == ([], [])


async def test_a_signed_in_browser_is_asked_before_it_switches_users(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as laptop, chromium.profile() as other:
        shows = await first_visit(relay, laptop)
        link = await shown_link(shows)
        opens = await first_visit(relay, other)
        mine = await user_of(relay, other)
        for choice, expected in (
            ("Keep mine", mine),
            ("Open the other", await user_of(relay, laptop)),
        ):
            await opens.goto("about:blank")
            await opens.goto(link)
            await opens.shows("Open the other stream here?")
            await opens.do(
                lambda page, choice: page.get_by_role("button", name=choice).click(), choice
            )
            await opens.shows(FIRST_WORDS)
            assert await user_of(relay, other) == expected
        await opens.goto("about:blank")
        async with chromium.profile() as third:
            late = await third.open(link)
            await late.shows("This link was used")
            await late.do(lambda page: page.get_by_text("Continue without it").click())
            await late.shows(FIRST_WORDS)


async def test_a_link_is_pasted_where_there_is_no_address_bar(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as laptop, chromium.profile() as app:
        link = await shown_link(await first_visit(relay, laptop))
        opens = await first_visit(relay, app)
        await opens.do(lambda page: page.get_by_label("Open on another device").first.click())
        field = "Or paste a link from another device"
        await opens.do(lambda page: page.get_by_label(field).fill("not a link"))
        await press(opens, "Open it here")
        assert await opens.run("document.activeElement.id") == "pasted-link"
        await opens.do(lambda page: page.get_by_label(field).fill(f" {link} "))
        await press(opens, "Open it here")
        await opens.shows("Open the other stream here?")
        await press(opens, "Open the other")
        await opens.shows(FIRST_WORDS)
        assert await user_of(relay, app) == await user_of(relay, laptop)


async def test_a_used_link_does_not_keep_a_connected_browser_from_its_stream(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as laptop, chromium.profile() as phone:
        link = await shown_link(await first_visit(relay, laptop))
        opens = await phone.open(link)
        await opens.shows(FIRST_WORDS)
        user, session = await user_of(relay, phone), await session_of(phone)
        await opens.goto("about:blank")
        await opens.goto(link)  # a bookmark, or the same code again
        await opens.shows("This link was used")
        await opens.shows("This browser is connected already")
        await opens.shows(FIRST_WORDS)
        assert (await user_of(relay, phone), await session_of(phone)) == (user, session)
        await opens.do(lambda page: page.get_by_role("button", name="Dismiss").click())
        await opens.do(lambda page: page.locator("#notice").wait_for(state="hidden"))
