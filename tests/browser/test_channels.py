"""The dialog of channels in a real browser: add, test, see what arrived, remove; accessible."""

import re
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from tests.support import chat_services as chat
from tests.support.browser.axe import faults
from tests.support.browser.chromium import Chromium, Profile, Tab
from tests.support.browser.visits import first_visit, hook_of, press, session_of, tell
from tests.support.mail_server import MailServer, mail_server
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.relay_server import Relay, bearer, running_relay


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
async def relay(database_url: str, mails: MailServer) -> AsyncIterator[Relay]:
    async with running_relay(
        database_url,
        RELAY_OUTBOUND_PRIVATE="on",
        RELAY_SMTP_URL=f"smtp://127.0.0.1:{mails.port}",
        RELAY_SMTP_FROM="relay@example.com",
    ) as relay:
        yield relay


@pytest.fixture
async def profile(chromium: Chromium) -> AsyncIterator[Profile]:
    async with chromium.profile() as memory:
        yield memory


async def opened(relay: Relay, profile: Profile) -> Tab:
    tab = await first_visit(relay, profile)
    await tab.do(lambda page: page.click("#open-channels"))
    await tab.shows("No channels yet")
    return tab


async def ended(relay: Relay, profile: Profile) -> None:
    """Wait until the receiver has ended the channel."""
    headers = bearer(await session_of(profile))
    with trio.fail_after(PATIENCE):
        while True:
            listed = (await relay.http.get("/api/channels", headers=headers)).json()["channels"]
            if listed[0]["ended_at"] is not None:
                return
            await trio.sleep(LOOK_EVERY)


async def choose(tab: Tab, kind: str, label: str, text: str) -> None:
    await tab.do(lambda page: page.select_option("#channels select[name=kind]", kind))
    await tab.do(lambda page: page.get_by_label(label, exact=True).fill(text))


async def test_a_channel_is_added_tested_and_removed(relay: Relay, profile: Profile) -> None:
    tab = await opened(relay, profile)
    assert await faults(tab) == []
    await tab.do(lambda page: page.get_by_text("What it is for").click())
    await tab.do(lambda page: page.get_by_label("it is canceled").check())
    await tab.do(lambda page: page.get_by_label("also while I look at this page").check())
    assert await faults(tab) == []
    with chat.service(chat.slack) as service:
        await choose(tab, "slack", "Incoming webhook", f"{service.url}{chat.SLACK_PATH}")
        await press(tab, "Add channel")
        await tab.shows("Nothing has arrived yet.")
        await tab.shows("it waits for you, it succeeds after 2:00 or it is canceled.")
        assert "Send a test" in await tab.run("document.activeElement.textContent")
        await tab.do(lambda page: page.get_by_text("Send a test", exact=True).click())
        await tab.shows("It arrived.")
        await tab.shows("Last delivery just now.")
        service.script = [chat.Answer(410)]
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "build", title="make test")
        await tell(relay, hook, "task_failed", "build", exit_code=2)
        await ended(relay, profile)
        assert "abcDEF" not in await tab.run("document.body.textContent")
    await tab.do(lambda page: page.keyboard.press("Escape"))
    await tab.do(lambda page: page.click("#open-channels"))
    await tab.shows("the receiver wants no more notifications")
    await tab.do(lambda page: page.get_by_text("What was sent", exact=True).click())
    await tab.shows("failed build. Failed: the receiver wants no more notifications.")
    await tab.shows("test. Arrived.")
    assert await faults(tab) == []
    await tab.do(lambda page: page.get_by_text("Remove", exact=True).click())
    await tab.shows("Nothing is sent there any more.")
    assert await tab.run("document.activeElement.textContent") == "Keep"
    assert await faults(tab) == []
    await tab.do(lambda page: page.get_by_role("button", name=re.compile("Yes, remove")).click())
    await tab.shows("No channels yet")
    assert tab.complaints == []


async def test_a_webhooks_secret_is_shown_once_and_a_failure_in_words(
    relay: Relay, profile: Profile
) -> None:
    tab = await opened(relay, profile)
    await choose(tab, "webhook", "Address", "http://127.0.0.1:9/hook")
    await press(tab, "Add channel")
    await tab.shows("whsec_")
    assert await faults(tab) == []
    await tab.do(lambda page: page.get_by_text("Send a test", exact=True).click())
    await tab.shows("It did not arrive: no connection. Relay tries again.")
    assert await faults(tab) == []
    await choose(tab, "ntfy", "Address of your topic", "https://ntfy.sh/")
    await press(tab, "Add channel")
    await tab.shows("The address must be that of a topic")
    await tab.do(lambda page: page.keyboard.press("Escape"))
    await tab.eventually("!document.body.textContent.includes('whsec_')")


async def test_a_mail_address_is_added_with_its_code(
    relay: Relay, profile: Profile, mails: MailServer
) -> None:
    tab = await opened(relay, profile)
    await choose(tab, "email", "Mail address", "ada@example.com")
    await press(tab, "Send a code")
    await tab.shows("A code was sent to ada@example.com. It is valid for 30 minutes.")
    assert await faults(tab) == []
    code = re.search(r"\d{4} \d{4}", str(mails.mails[0]["Subject"]))
    assert code is not None
    await tab.do(lambda page, text: page.get_by_label("Code from the mail").fill(text), code[0])
    await press(tab, "Add channel")
    await tab.do(lambda page: page.get_by_text("Send a test", exact=True).click())
    await tab.shows("It arrived.")
    assert [str(mail["To"]) for mail in mails.mails] == ["ada@example.com"] * 2
