"""What a client may send on its stream: up to 4 KiB, 10 a second, and its close."""

from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from tests.support.clock import pass_by
from tests.support.relay_server import Relay, bearer, raw_websocket
from tests.support.stream_ends import close_of


async def test_client_messages_are_ignored_up_to_4_kib_and_10_a_second(relay: Relay) -> None:
    user = await relay.user()
    async with raw_websocket(relay, bearer(user.session)) as socket:
        await socket.message()
        for data in ("", "x", '{"type":"close"}', "é" * 2048, "x" * 4096, "subscribe *"):
            await socket.say(data)
        await socket.put(BytesMessage(data=b"\x00" * 4096))
        await user.posted()
        assert (await socket.message())["seq"] == 1


async def test_a_message_over_4_kib_ends_the_stream(relay: Relay) -> None:
    user = await relay.user()
    whole = TextMessage(data="x" * 4097)
    in_bytes = BytesMessage(data=b"x" * 4097)
    wide = TextMessage(data="é" * 2049)
    huge = TextMessage(data="x" * 100_000)
    parts = [TextMessage(data="x" * 2049, message_finished=last) for last in (False, True)]
    for frames in ([whole], [in_bytes], [wide], [huge], parts):
        async with raw_websocket(relay, bearer(user.session)) as socket:
            await socket.message()
            for frame in frames:
                await socket.put(frame)
            assert await close_of(socket) == (1009, 1009)


async def test_more_than_10_messages_a_second_end_the_stream(
    relay: Relay, clock: MockClock
) -> None:
    user = await relay.user()
    async with raw_websocket(relay, bearer(user.session)) as socket:
        await socket.message()
        for _ in range(2):
            clock.rate = 0  # one moment
            for _ in range(10):
                await socket.say("x")
            await pass_by(clock, 1)
            clock.rate = 1
            await user.posted()
            assert "seq" in await socket.message()
        clock.rate = 0
        for _ in range(21):
            await socket.say("x")
        await wait_all_tasks_blocked()
        clock.rate = 1
        assert await close_of(socket) == (4429, 4429)


async def test_a_clients_close_is_answered_and_leaves_nothing(relay: Relay) -> None:
    user = await relay.user()
    async with raw_websocket(relay, bearer(user.session)) as socket:
        await socket.message()
        await socket.put(CloseConnection(code=1000))
        assert await socket.message() == 1000
    assert (await user.posted())["watchers"] == 0
