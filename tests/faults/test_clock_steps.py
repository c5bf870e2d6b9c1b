"""The wall clock steps an hour either way: timers do not notice, tokens have leeway."""

import time

import pytest
import trio

from tests.support.client.streams import SseStream
from tests.support.patience import PATIENCE
from tests.support.relay_server import open_stream, running_relay

HOUR = 3600
BEATS = 3  # heartbeats that come after the step: timers that took notice would wait, or be over


async def comment(events: SseStream) -> None:
    """The next heartbeat of a stream of server-sent events."""
    with trio.fail_after(PATIENCE):
        while not (await events.block())[0].startswith(":"):
            pass


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
async def test_a_clock_step_ends_no_stream_and_refuses_no_request(
    database_url: str, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    true_time = time.time
    async with running_relay(
        database_url, RELAY_HEARTBEAT="0.2", RELAY_IDLE_TIMEOUT="600"
    ) as relay:
        user = await relay.user()
        before = (await user.token())["token"]
        async with (
            open_stream(relay, "websocket", user.session, subprotocols=["relay.v1"]) as socket,
            open_stream(relay, "sse", before) as events,
        ):
            await socket.hello()
            await events.hello()
            monkeypatch.setattr(time, "time", lambda: true_time() + step)
            after = (await user.token())["token"]
            for _ in range(BEATS):
                await socket.control("ping")
                await comment(events)
            receipts = [await user.posted(hook=token) for token in (before, after)]
            for stream in (socket, events):
                assert [event["seq"] for event in await stream.events(2)] == [1, 2]
            assert len({receipt["id"] for receipt in receipts}) == 2
        async with open_stream(relay, "sse", after, "?after=oldest") as anew:
            assert [event["seq"] for event in await anew.events(2)] == [1, 2]
