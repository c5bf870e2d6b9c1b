"""The page of a user in a browser whose subscriptions are those of a push service of the test.

Chromium has no push service of its own here, so its part is stood in for: all tabs of a
profile have the same subscription, and each new one is another, as a push service makes them.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.support.browser.chromium import Chromium, Profile, Tab
from tests.support.browser.service_worker import notifying
from tests.support.browser.visits import COOKIE, is_live
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.push_service import Device, PushService
from tests.support.relay_server import User

SUBSCRIBED = "Boolean(localStorage.getItem('subscribed'))"
PRESENT = (
    "JSON.parse(localStorage.getItem('subscribed'))?.endpoint"  # the address of the present one
)

SUBSCRIPTION = """
  const given = %s; // in turn; the last one again and again
  const plain = (text) => atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  const bytes = (text) => Uint8Array.from(plain(text), (letter) => letter.charCodeAt(0));
  const kept = () => JSON.parse(localStorage.getItem('subscribed'));
  const subscription = () => kept() && {
    endpoint: kept().endpoint,
    toJSON: () => given.find((one) => one.endpoint === kept()?.endpoint) ?? given[0],
    options: { applicationServerKey: bytes(kept().key).buffer },
    unsubscribe: async () => { localStorage.removeItem('subscribed'); return true; },
  };
  PushManager.prototype.getSubscription = async () => subscription();
  PushManager.prototype.subscribe = async ({ applicationServerKey: key }) => {
    const made = Number(localStorage.getItem('made'));
    localStorage.setItem('made', made + 1);
    const { endpoint } = given[Math.min(made, given.length - 1)];
    localStorage.setItem('subscribed', JSON.stringify({ key, endpoint }));
    return subscription();
  };
"""


@asynccontextmanager
async def page_of(
    user: User, chromium: Chromium, pushing: PushService, subscriptions: int = 1
) -> AsyncIterator[tuple[Profile, Tab, Sequence[Device]]]:
    """The page of a user, in a browser that gets a subscription when it asks for one.

    So many are there; after these it gets the last one again.
    """
    key = (await user.call("GET", "/api/channels/webpush/key")).json()["public_key"]
    devices = [await pushing.subscribe(key) for _ in range(subscriptions)]
    async with chromium.profile() as profile:
        await notifying(profile, user.relay.url)
        await signed_in(profile, user)
        script = SUBSCRIPTION % json.dumps([one.subscription for one in devices])
        await profile.do(lambda it: it.add_init_script(script))
        tab = await profile.open(user.relay.url)
        await is_live(tab)
        yield profile, tab, devices


async def signed_in(profile: Profile, user: User) -> None:
    """Give a browser the cookie of the user's session, in place of another one."""
    cookie = {"name": COOKIE, "value": user.session, "url": user.relay.url}
    await profile.do(lambda it: it.add_cookies([cookie]))  # type: ignore[list-item]


async def channels(user: User) -> list[dict[str, Any]]:
    """The user's channels, as Relay lists them."""
    found: list[dict[str, Any]] = (await user.call("GET", "/api/channels")).json()["channels"]
    return found


async def no_channel_is_left(user: User) -> None:
    """Wait until the user has no channel any more."""
    with trio.fail_after(PATIENCE):
        while await channels(user):  # noqa: ASYNC110 - another process
            await trio.sleep(LOOK_EVERY)
