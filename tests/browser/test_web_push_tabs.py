"""Tabs of one browser share its subscription: they look at it and renew it one after the other."""

from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any

import pytest
import trio

from tests.support.browser.chromium import Chromium, Profile, Tab, running_chromium
from tests.support.browser.pushed_pages import (
    PRESENT,
    channels,
    no_channel_is_left,
    page_of,
)
from tests.support.browser.visits import press, until
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.push_service import PushService
from tests.support.relay_server import Relay, User, running_relay

ON = "document.getElementById('notify').getAttribute('aria-pressed')"
LOCKS = (
    "navigator.locks.query().then(({ %s: all }) => all.some(({ name }) => name === 'relay.push'))"
)
DROP = "localStorage.removeItem('subscribed'); localStorage.setItem('gate', 'closed')"
# the first request that adds the channel waits for a press of the test, in whichever tab it is made
GATE = """
  const send = window.fetch;
  window.fetch = async (...given) => {
    if (given[1]?.method === 'POST' && String(given[0]).endsWith('/api/channels')
        && localStorage.getItem('gate') === 'closed') {
      localStorage.setItem('gate', 'reached');
      while (localStorage.getItem('gate') !== 'open') {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    return send(...given);
  };
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A whole one: the one without windows has no notifications."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
async def private_relay(database_url: str) -> AsyncIterator[Relay]:
    """A Relay that may call this machine."""
    async with running_relay(database_url, RELAY_OUTBOUND_PRIVATE="on") as running:
        yield running


async def lock_is(tab: Tab, state: str, wanted: bool = True) -> None:
    """Wait until the lock of the subscription is `held` or `pending` in one of the tabs."""
    with trio.fail_after(PATIENCE):
        while await tab.run(LOCKS % state) != wanted:  # noqa: ASYNC110 - locks set no Event
            await trio.sleep(LOOK_EVERY)


async def renewing(user: User, profile: Profile, tab: Tab) -> dict[str, Any]:
    """Turn a device on, and have the browser drop its subscription: the tab is about to renew it,
    and waits at the gate. Returns the device's channel."""
    await press(tab, "Tell me on this device")
    await until(tab, ON, "true")
    (channel,) = await channels(user)
    await profile.do(lambda it: it.add_init_script(GATE))
    await tab.run(DROP)
    await tab.goto(user.relay.url)
    await until(tab, "localStorage.getItem('gate')", "reached")
    return channel


async def test_a_tab_waits_until_another_one_has_renewed_the_subscription(
    private_relay: Relay, chromium: Chromium, pushing: PushService
) -> None:
    user = await private_relay.user()
    async with page_of(user, chromium, pushing, subscriptions=3) as (profile, tab, devices):
        before = await renewing(user, profile, tab)
        other = await profile.open(private_relay.url)
        await lock_is(other, "pending")
        await tab.run("localStorage.setItem('gate', 'open')")
        await until(tab, ON, "true")
        await lock_is(other, "held", False)
        await until(other, ON, "true")

        assert await other.run(PRESENT) == devices[1].endpoint
        (after,) = await channels(user)
        assert after["channel_id"] == before["channel_id"]
        assert after["shown"]["subscription_id"] == sha256(devices[1].endpoint.encode()).hexdigest()
        path = f"/api/channels/{after['channel_id']}/test"
        assert (await user.call("POST", path)).status_code == 202
        assert (await devices[1].message())["type"] == "channel.test"
        assert tab.complaints == other.complaints == []


async def test_a_channel_that_is_removed_while_a_tab_renews_it_is_not_added_again(
    private_relay: Relay, chromium: Chromium, pushing: PushService
) -> None:
    user = await private_relay.user()
    async with page_of(user, chromium, pushing, subscriptions=3) as (profile, tab, _):
        before = await renewing(user, profile, tab)
        path = f"/api/channels/{before['channel_id']}"
        assert (await user.call("DELETE", path)).status_code == 204
        await tab.run("localStorage.setItem('gate', 'open')")  # the answer is 404
        await lock_is(tab, "held", False)  # the button is off until then, too
        await until(tab, ON, "false")
        assert await channels(user) == []
        assert await tab.run(PRESENT) is None


async def test_turning_off_removes_the_channel_also_where_the_browser_has_dropped_its_subscription(
    private_relay: Relay, chromium: Chromium, pushing: PushService
) -> None:
    user = await private_relay.user()
    async with page_of(user, chromium, pushing) as (_, tab, _devices):
        await press(tab, "Tell me on this device")
        await until(tab, ON, "true")
        assert len(await channels(user)) == 1
        await tab.run("localStorage.removeItem('subscribed')")
        await tab.do(lambda page: page.click("#notify"))
        await until(tab, ON, "false")
        await no_channel_is_left(user)
        assert tab.complaints == []
