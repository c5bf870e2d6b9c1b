"""A device that is notified: from the bell to the notification, its press and its buttons."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

from tests.support.asking import asking
from tests.support.browser.axe import faults
from tests.support.browser.chromium import Chromium, Tab, running_chromium
from tests.support.browser.pushed_pages import (
    SUBSCRIBED,
    channels,
    no_channel_is_left,
    page_of,
    signed_in,
)
from tests.support.browser.service_worker import ServiceWorker, notifying
from tests.support.browser.visits import first_visit, hook_of, press, tell, until
from tests.support.databases import database_of
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.push_service import PushService
from tests.support.relay_server import Relay, User, running_relay

OFFER = """((box) => (box.hidden ? '' : box.textContent))(
  document.getElementById('notify-offer'))"""
OFFERED = "Relay can tell this device"
ON = "document.getElementById('notify').getAttribute('aria-pressed')"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A whole one: the one without windows has no notifications."""
    with running_chromium(reduced_motion="reduce") as browser:
        yield browser


@pytest.fixture
async def private_relay(database_url: str) -> AsyncIterator[Relay]:
    """A Relay that may call this machine."""
    async with running_relay(database_url, RELAY_OUTBOUND_PRIVATE="on") as running:
        yield running


async def delivery(user: User, count: int) -> dict[str, Any]:
    """The latest of so many deliveries of the user's only channel."""
    (channel,) = await channels(user)
    path = f"/api/channels/{channel['channel_id']}/deliveries"
    with trio.fail_after(PATIENCE):
        while True:
            found = (await user.call("GET", path)).json()["deliveries"]
            if len(found) == count and found[0]["outcome"] != "waiting":
                newest: dict[str, Any] = found[0]
                return newest
            await trio.sleep(LOOK_EVERY)


async def left(tab: Tab, user: User, database_url: str) -> None:
    """Leave the page for another one, and wait until Relay knows that it is no longer looked at."""
    await tab.goto(f"{user.relay.url}/docs")
    looked_at = "SELECT visible_until > now() FROM notified_users WHERE user_id = $1"
    async with database_of(database_url) as database:
        with trio.fail_after(PATIENCE):
            while await database.fetchval(looked_at, user.user_id):  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)


async def failed(user: User, task: str) -> None:
    await user.posted(event_type="task_started", task_id=task, payload={"title": f"make {task}"})
    await user.posted(event_type="task_failed", task_id=task, payload={"exit_code": 2})


async def test_a_device_is_notified_and_a_press_leads_to_the_task(
    private_relay: Relay, database_url: str, chromium: Chromium, pushing: PushService
) -> None:
    user = await private_relay.user()
    async with page_of(user, chromium, pushing) as (profile, tab, (device,)):
        worker = await ServiceWorker.of(profile, tab)
        await press(tab, "Tell me on this device")
        await until(tab, ON, "true")
        assert [one["kind"] for one in await channels(user)] == ["webpush"]
        await failed(user, "paint")  # before the eyes of a person
        await tab.shows("make paint")
        assert (await delivery(user, 1))["outcome"] == "watched"

        await left(tab, user, database_url)
        await failed(user, "build")
        message = await device.message()
        await worker.push(json.dumps(message))
        (shown,) = await worker.shown(1)
        assert (shown["title"], shown["actions"]) == ("make build failed", [])
        assert shown["body"].startswith("Exit code 2")
        await worker.press(shown["tag"])
        (address,) = await worker.opened()
        assert address == f"{private_relay.url}/#task=build"
        await worker.shown(0)

        await tab.goto(address)
        await until(tab, "document.getElementById('head-title').textContent", "make build")
        await until(tab, ON, "true")  # Relay knows this device
        await worker.push(json.dumps(message))  # on its way while the page was opened
        await worker.push(json.dumps(message | {"always": True, "task_id": "paint", "tag": "t"}))
        await worker.shown(1)
        await worker.press("t")
        await until(tab, "location.hash", "#task=paint")
        await until(tab, "document.getElementById('head-title').textContent", "make paint")

        await tab.do(lambda page: page.click("#notify"))
        await until(tab, ON, "false")
        await no_channel_is_left(user)
        assert tab.complaints == []


async def test_a_button_of_a_notification_answers_the_question(
    private_relay: Relay, database_url: str, chromium: Chromium, pushing: PushService
) -> None:
    user = await private_relay.user()
    async with page_of(user, chromium, pushing) as (profile, tab, (device,)):
        worker = await ServiceWorker.of(profile, tab)
        await press(tab, "Tell me on this device")
        await until(tab, ON, "true")
        await left(tab, user, database_url)
        async with asking(user, "Deploy?", "--options", "yes,no") as asker:
            await worker.push(json.dumps(await device.message()))
            (shown,) = await worker.shown(1)
            assert (shown["body"], shown["actions"]) == ("Deploy?", ["yes", "no"])
            await worker.press(shown["tag"], "no")
        assert (asker.code, asker.stdout) == (1, b"no\n"), asker.stderr
        await worker.shown(0)

        async with asking(user, "Again?", "--options", "yes,no"):
            message = await device.message(2)
            await worker.push(json.dumps(message))
            (shown,) = await worker.shown(1)
            reply = {"answer": "yes", "question_hash": message["ask"]["question_hash"]}
            await user.call("POST", f"/api/asks/{message['ask']['ask_id']}/answer", json=reply)
            await worker.press(shown["tag"], "no")
        with trio.fail_after(PATIENCE):
            while (await worker.shown(1))[0]["title"] != "Your answer does not count":  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        assert (await worker.shown(1))[0]["body"].startswith("“yes” was answered first.")


async def test_a_browser_that_is_left_to_another_stream_forgets_its_subscription(
    private_relay: Relay, chromium: Chromium, pushing: PushService
) -> None:
    user, other = await private_relay.user(), await private_relay.user()
    async with page_of(user, chromium, pushing) as (profile, tab, _):
        await press(tab, "Tell me on this device")
        await until(tab, ON, "true")
        assert await tab.run(SUBSCRIBED)
        await signed_in(profile, other)
        await tab.goto(private_relay.url)
        await until(tab, SUBSCRIBED, False)
        await until(tab, ON, "false")
        assert await channels(other) == []
        assert tab.complaints == []


async def test_a_session_that_could_not_be_ended_keeps_its_device(
    private_relay: Relay, chromium: Chromium, pushing: PushService
) -> None:
    user = await private_relay.user()
    async with page_of(user, chromium, pushing) as (_, tab, _):
        await press(tab, "Tell me on this device")
        await until(tab, ON, "true")
        away = "**/api/session"
        await tab.do(lambda page: page.route(away, lambda route: route.fulfill(status=503)))
        await press(tab, "Tokens")
        await press(tab, "End this session")
        await press(tab, "End session")
        await until(tab, "document.querySelector('#tokens .problem').hidden", False)
        assert await tab.run(SUBSCRIBED)
        assert len(await channels(user)) == 1
        await tab.do(lambda page: page.unroute(away))
        await press(tab, "End session")
        await until(tab, SUBSCRIBED, False)


async def test_a_device_whose_subscription_or_session_was_lost_goes_on_as_the_same_channel(
    private_relay: Relay, chromium: Chromium, pushing: PushService
) -> None:
    user = await private_relay.user()
    async with page_of(user, chromium, pushing) as (profile, tab, (device,)):
        await press(tab, "Tell me on this device")
        await until(tab, ON, "true")
        (before,) = await channels(user)
        await tab.run("localStorage.removeItem('subscribed')")
        await tab.goto(private_relay.url)
        await until(tab, SUBSCRIBED, True)
        await until(tab, ON, "true")

        link = (await user.call("POST", "/api/session/link")).json()["link"]
        body = {"code": link.partition("#link=")[2]}
        opened = await private_relay.http.post("/api/session/link/redeem", json=body)
        private_relay.http.cookies.clear()
        again = User(private_relay, user.user_id, opened.json()["session_token"])
        await signed_in(profile, again)
        await tab.goto(private_relay.url)
        with trio.fail_after(PATIENCE):
            while not (await channels(again))[0]["this_session"]:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        (after,) = await channels(again)
        assert after["channel_id"] == before["channel_id"]
        await user.call("DELETE", "/api/session")
        path = f"/api/channels/{after['channel_id']}/test"
        assert (await again.call("POST", path)).status_code == 202
        assert (await device.message())["type"] == "channel.test"
        assert tab.complaints == []


async def test_the_offer_comes_once_after_the_first_task_has_ended(
    relay: Relay, chromium: Chromium
) -> None:
    async with chromium.profile() as profile:
        await notifying(profile, relay.url)
        tab = await first_visit(relay, profile)
        hook = await hook_of(relay, profile)
        await tell(relay, hook, "task_started", "t", title="make wheel")
        await tell(relay, hook, "task_progress", "t", progress=0.5)
        await tab.shows("make wheel")
        assert await tab.run(OFFER) == ""
        await tell(relay, hook, "task_succeeded", "t")
        await tab.shows(OFFERED)
        assert await faults(tab) == []
        await press(tab, "Not now")
        await until(tab, OFFER, "")
        await tell(relay, hook, "task_started", "u", title="make build")
        await tell(relay, hook, "task_failed", "u")
        await tab.shows("make build")
        await tab.goto(relay.url)
        await tab.shows("make build")
        assert await tab.run(OFFER) == ""
        assert tab.complaints == []


async def test_the_page_can_be_installed(relay: Relay, chromium: Chromium) -> None:
    async with chromium.profile() as profile:
        tab = await first_visit(relay, profile)
        debugger = await tab.do(lambda page: page.context.new_cdp_session(page))
        manifest = await tab.do(lambda _: debugger.send("Page.getAppManifest"))
        assert manifest["errors"] == []
        assert json.loads(manifest["data"])["display"] == "standalone"
        errors = await tab.do(lambda _: debugger.send("Page.getInstallabilityErrors"))
        found = [error["errorId"] for error in errors["installabilityErrors"]]
        assert found == ["in-incognito"]  # as every profile of a test is
        for icon in (*json.loads(manifest["data"])["icons"], {"src": "badge.png"}):
            answer = await relay.http.get(f"/console/{icon['src']}")
            assert (answer.status_code, icon.get("type", "image/png")) == (
                200,
                answer.headers["Content-Type"],
            )
        assert tab.complaints == []
