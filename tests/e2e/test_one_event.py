"""The way of one event, on both transports, through a real server."""

import pytest

from tests.support.relay_server import Relay, open_stream

TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "sse"])


@TRANSPORTS
async def test_an_event_arrives_live_numbered_and_as_sent(relay: Relay, transport: str) -> None:
    user = await relay.user()
    async with open_stream(relay, transport, user.session) as stream:
        hello = await stream.hello()
        receipt = await user.posted(
            event_type="task_progress", task_id="build", event_id="e1", payload={"progress": 0.5}
        )
        (event,) = await stream.events(1)
    epoch = hello["cursor"].partition(".")[0]
    assert hello["resumed"] is False
    assert receipt == {
        "ok": True,
        "id": "e1",
        "seq": 1,
        "cursor": f"{epoch}.1",
        "duplicate": False,
        "watchers": 1,
    }
    received_at = event.pop("received_at")
    assert received_at.endswith("Z")
    assert event == {
        "id": "e1",
        "seq": 1,
        "cursor": f"{epoch}.1",
        "event_type": "task_progress",
        "task_id": "build",
        "ts": "2026-01-31T12:00:00Z",
        "payload": {"progress": 0.5},
    }


@TRANSPORTS
async def test_two_users_receive_only_their_own_events(relay: Relay, transport: str) -> None:
    one, other = await relay.user(), await relay.user()
    async with (
        open_stream(relay, transport, one.session) as ones,
        open_stream(relay, transport, other.session) as others,
    ):
        await ones.hello()
        await others.hello()
        await one.posted(payload="of one")
        await other.posted(payload="of the other")
        assert [event["payload"] for event in await ones.events(1)] == ["of one"]
        assert [event["payload"] for event in await others.events(1)] == ["of the other"]
        for user, stream in ((one, ones), (other, others)):
            await user.posted(payload="the next of its own")
            assert (await stream.next())["payload"] == "the next of its own"


@TRANSPORTS
async def test_a_second_tab_sees_the_same_stream(relay: Relay, transport: str) -> None:
    user = await relay.user()
    async with (
        open_stream(relay, transport, user.session) as first,
        open_stream(relay, transport, user.session) as second,
    ):
        await first.hello()
        await second.hello()
        receipts = await user.publish(20)
        assert receipts[0]["watchers"] == 2
        for tab in (first, second):
            assert [event["seq"] for event in await tab.events(20)] == list(range(1, 21))


@TRANSPORTS
async def test_a_stream_resumes_at_its_cursor_on_the_other_transport(
    relay: Relay, transport: str
) -> None:
    user = await relay.user()
    async with open_stream(relay, transport, user.session, "?after=oldest") as stream:
        await stream.hello()
        await user.publish(3)
        cursor = (await stream.events(3))[1]["cursor"]
    await user.publish(600)  # more than an inbox or a page holds
    other = "sse" if transport == "websocket" else "websocket"
    async with open_stream(relay, other, user.session, f"?after={cursor}") as stream:
        hello = await stream.hello()
        assert (hello["resumed"], hello["cursor"]) == (True, cursor)
        assert [event["seq"] for event in await stream.events(601)] == list(range(3, 604))
        await user.publish(1)
        assert [event["seq"] for event in await stream.events(1)] == [604]
