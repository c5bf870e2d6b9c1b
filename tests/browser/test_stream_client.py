"""`relay-stream.js` in a real browser, over a network that breaks."""

import re
from typing import Literal

import pytest
import trio
from playwright.sync_api import Page

from tests.support.browser.chromium import Chromium
from tests.support.browser.stream_scene import SHOW, Scene, staged, upto
from tests.support.databases import trim


async def test_websocket_first_with_a_ticket_for_each_connection(scene: Scene) -> None:
    reads = await scene.reads()
    await reads.live()
    await reads.has(await scene.publish(3))
    await scene.box.cut()
    assert await reads.has(await scene.publish(3)) == upto(6)
    assert [target.partition("?")[0] for target in scene.box.streams] == ["/api/rt"] * 2
    tickets = [re.search(r"ticket=([^&]+)", target) for target in scene.box.streams]
    assert len({ticket[1] for ticket in tickets if ticket}) == 2
    assert re.search(r"after=[^&.]+\.3\b", scene.box.streams[1])
    asked = " ".join([*reads.tab.requested, *scene.box.streams])
    assert scene.user.session not in asked
    assert [hello["resumed"] for hello in await reads.seen("hellos")] == [False, True]


async def test_sse_where_websockets_are_refused_and_back(scene: Scene) -> None:
    scene.box.websockets = "refuse"
    reads = await scene.reads(retryWebSocketAfter=100)
    await reads.live("sse")
    await reads.has(await scene.publish(3))
    await scene.box.cut()
    await reads.live("sse")
    await reads.has(await scene.publish(3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.publish, 50)  # while it changes lines
        scene.box.websockets = "pass"
        await reads.live()
    assert await reads.has(56) == upto(56)
    assert await reads.seen("gaps") == []


async def test_a_proxy_that_accepts_and_forwards_nothing_leads_to_sse(scene: Scene) -> None:
    scene.box.websockets = "swallow"
    reads = await scene.reads(clock=True)
    for attempt in (1, 2):
        await scene.box.asked(attempt)
        await reads.tab.do(lambda page: page.clock.fast_forward(16_000))
        await reads.until("stream.state.attempt >= it", attempt)
        await reads.tab.do(lambda page: page.clock.fast_forward(1_000))
    await reads.live("sse")
    assert await reads.has(await scene.publish(2)) == upto(2)


async def test_reconnect_delays_double_with_jitter(scene: Scene) -> None:
    reads = await scene.reads(clock=True)
    await reads.live()
    # each delay lasts until it was looked at
    await reads.tab.do(lambda page: page.clock.pause_at(page.evaluate("Date.now() / 1000 + 5")))
    scene.box.refusing = True
    await scene.box.cut()
    shares = []
    for attempt in range(1, 9):
        await reads.until(
            "stream.state.state === 'waiting' && stream.state.attempt === it", attempt
        )
        latest = (await reads.seen("states"))[-1]
        wait, backoff = latest["retryAt"] - latest["at"], min(30_000, 250 * 2**attempt)
        shares.append(wait / backoff)
        await reads.tab.do(lambda page, wait: page.clock.fast_forward(wait + 1), wait)
    assert all(0.49 <= share <= 1.01 for share in shares)
    assert max(shares) - min(shares) > 0.01
    last = await scene.publish(2)
    scene.box.refusing = False
    await reads.tab.do(lambda page: page.clock.resume())
    await reads.tab.run("stream.reconnect()")
    assert await reads.has(last) == upto(2)
    await reads.live()
    assert (await reads.state())["attempt"] == 0


@pytest.mark.parametrize(("websockets", "transport"), [("pass", "websocket"), ("refuse", "sse")])
async def test_a_silent_connection_is_replaced(
    scene: Scene, websockets: Literal["pass", "refuse"], transport: str
) -> None:
    scene.box.websockets = websockets
    reads = await scene.reads(clock=True, retryWebSocketAfter=600_000)
    await reads.live(transport)
    await reads.has(await scene.publish(1))
    scene.box.stall()
    last = await scene.publish(2)
    await reads.tab.do(lambda page: page.clock.fast_forward(63_000))  # heartbeats are 25 s apart
    await reads.until("seen.states.at(-1).state !== 'live' || seen.states.at(-1).reconnects > 0")
    await reads.tab.do(lambda page: page.clock.fast_forward(1_000))
    assert await reads.has(last) == upto(3)
    await reads.live(transport)


async def test_an_idle_sse_connection_with_heartbeats_is_kept(scene: Scene) -> None:
    """The page sees no heartbeat there: it asks by another way whether it missed anything."""
    scene.box.websockets = "refuse"
    reads = await scene.reads(clock=True, retryWebSocketAfter=600_000)
    await reads.live("sse")
    await reads.has(await scene.publish(1))

    def pass_time(page: Page) -> None:
        with page.expect_request(lambda request: "/api/events?" in request.url):
            page.clock.fast_forward(63_000)

    await reads.tab.do(pass_time)
    assert await reads.has(await scene.publish(1)) == upto(2)
    assert (await reads.state())["reconnects"] == 0


async def test_the_stream_resumes_after_the_network_was_gone(
    database_url: str, chromium: Chromium
) -> None:
    async with staged(database_url, chromium, "relay.test") as scene:
        reads = await scene.reads()
        await reads.has(await scene.publish(1))
        scene.box.stall()  # another network: the old connection is a corpse
        last = await scene.publish(2)
        await reads.until("Date.now() - seen.states.at(-1).at > 1200")
        await scene.profile.do(lambda context: context.set_offline(True))
        await reads.until("!navigator.onLine")
        await scene.profile.do(lambda context: context.set_offline(False))
        assert await reads.has(last) == upto(3)

        await scene.profile.do(lambda context: context.set_offline(True))
        await reads.until("!navigator.onLine")
        await scene.box.cut()
        await reads.until("stream.state.state === 'offline'")
        latest = (await reads.seen("states"))[-1]
        assert latest["retryAt"] - latest["at"] >= 29_000
        last = await scene.publish(2)
        await scene.profile.do(lambda context: context.set_offline(False))
        assert await reads.has(last) == upto(5)  # long before


async def test_a_page_shown_again_reconnects_at_once(scene: Scene) -> None:
    """Headless every tab is in sight, so the test overrides what the page reads."""
    reads = await scene.reads(clock=True)
    await reads.has(await scene.publish(1))
    scene.box.refusing = True
    await scene.box.cut()
    await reads.until("stream.state.state === 'waiting'")
    await reads.tab.do(lambda page: page.clock.pause_at(page.evaluate("Date.now() / 1000 + 5")))
    await reads.until("stream.state.state === 'waiting'")
    scene.box.refusing = False
    last = await scene.publish(2)
    asked = len(scene.box.streams)
    await reads.tab.run(SHOW, False)
    assert len(scene.box.streams) == asked
    await reads.tab.run(SHOW, True)
    assert await reads.has(last) == upto(3)


async def test_a_page_load_resumes_at_the_last_cursor(scene: Scene) -> None:
    options = {"storageKey": "seen"}
    reads = await scene.reads(**options)
    assert await reads.has(await scene.publish(3)) == upto(3)
    await reads.tab.goto("about:blank")
    last = await scene.publish(3)
    await reads.tab.goto(scene.page)
    await reads.begin(after="oldest", **options)
    assert await reads.has(last) == [4, 5, 6]
    scene.box.websockets = "refuse"
    await reads.tab.goto(scene.page)
    await reads.begin(after="oldest", **options)
    await reads.live("sse")
    assert await reads.has(await scene.publish(1)) == [7]


async def test_gaps_and_new_epochs_are_reported(scene: Scene, database_url: str) -> None:
    epoch = (await scene.user.publish(6))[0]["cursor"].partition(".")[0]
    await trim(database_url, scene.user, 4)
    behind = await scene.reads(after=f"{epoch}.1")
    assert await behind.has(6) == [4, 5, 6]
    assert await behind.seen("gaps") == [[2, 3]]
    assert [hello["resumed"] for hello in await behind.seen("hellos")] == [True]
    foreign = await scene.reads(after="another.5")
    assert await foreign.has(6) == [4, 5, 6]
    (hello,) = await foreign.seen("hellos")
    assert (hello["resumed"], hello["reason"]) == (False, "epoch")


async def test_an_unauthorized_stream_is_not_retried(scene: Scene) -> None:
    cannot = (await scene.user.token(scopes=["publish"]))["token"]
    refused = await scene.reads(cannot, scene.user.session, clock=True)
    malformed = await scene.reads(after="no cursor", clock=True)
    for reads in (refused, malformed):  # both, before what either asks for is counted
        await reads.until("stream.state.state === 'closed'")
        assert (await reads.state())["code"] == 4403
    for reads in (refused, malformed):
        asked = len(reads.tab.requested), len(scene.box.streams)
        await reads.tab.do(lambda page: page.clock.fast_forward("10:00"))
        await reads.tab.run("dispatchEvent(new Event('online'))")
        assert (len(reads.tab.requested), len(scene.box.streams)) == asked
    await refused.tab.run("credentials.shift(); stream.reconnect()")
    assert await refused.has(await scene.publish(1)) == [1]


async def test_a_revoked_credential_asks_for_another(scene: Scene) -> None:
    first, second = [await scene.user.token(scopes=["watch"]) for _ in range(2)]
    reads = await scene.reads(first["token"], second["token"])
    await reads.has(await scene.publish(2))
    await scene.user.call("POST", "/api/token/revoke", json={"token_id": first["token_id"]})
    await reads.until("seen.asked.includes(true)")
    assert await reads.has(await scene.publish(2)) == upto(4)
    assert await reads.seen("asked") == [False, True]
    assert 4401 in [state["code"] for state in await reads.seen("states")]
