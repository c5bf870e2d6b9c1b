"""The wall clock steps an hour either way: timers do not notice, tokens have leeway."""

import time

import pytest
import trio

from tests.live import open_stream, running_relay

HOUR = 3600


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
async def test_a_step_of_the_clock_ends_no_stream_and_refuses_nobody(
    database_url: str, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    true_time = time.time
    async with running_relay(
        database_url, RELAY_HEARTBEAT="0.4", RELAY_IDLE_TIMEOUT="1.5"
    ) as relay:
        user = await relay.user()
        before = (await user.token())["token"]
        async with (
            open_stream(relay, "websocket", user.session) as socket,
            open_stream(relay, "sse", before) as events,
        ):
            await socket.hello()
            await events.hello()
            monkeypatch.setattr(time, "time", lambda: true_time() + step)
            after = (await user.token())["token"]
            with trio.move_on_after(
                2.0
            ):  # longer than the idle timeout: heartbeats go on meanwhile
                await socket.next()
            receipts = [await user.posted(hook=token) for token in (before, after)]
            for stream in (socket, events):
                assert [event["seq"] for event in await stream.events(2)] == [1, 2]
            assert len({receipt["id"] for receipt in receipts}) == 2
        async with open_stream(relay, "sse", after, "?after=oldest") as anew:
            assert [event["seq"] for event in await anew.events(2)] == [1, 2]
