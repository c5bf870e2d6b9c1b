"""Connections to receivers serve one call at a time, and some are kept for the next one."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from relay.channels import connections, outbound
from relay.channels.outbound import Outbound, trusted_authorities
from relay.db.pool import Database
from tests.support.certificates import self_signed
from tests.support.patience import PATIENCE, eventually
from tests.support.receivers import Receiver, calling, receiver, reply
from tests.support.sending import make, over, sending, webhook_of


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is kept for as long as a slow machine takes for the next call."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", PATIENCE)
    monkeypatch.setattr(outbound, "BODY_SECONDS", PATIENCE)


@pytest.fixture
async def calls() -> AsyncIterator[Outbound]:
    opened = calling()
    yield opened
    await opened.close()


async def test_calls_that_follow_one_another_share_a_connection(calls: Outbound) -> None:
    async with receiver() as there:
        for status in (204, 500, 302):
            there.always = reply(status, b"" if status == 204 else b"text")
            assert (await calls.post(there.url, {}, b"")).status == status
        assert there.accepted == 1
        await calls.close()
        await eventually(lambda: there.open == 0)
        await calls.post(there.url, {}, b"")
        assert there.accepted == 2


async def test_a_connection_that_has_ended_is_not_used_again(
    calls: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as there:
        there.always = reply(200, connection="close")
        for _ in range(2):
            await calls.post(there.url, {}, b"")
        assert there.accepted == 2
        await eventually(lambda: there.open == 0)
        there.always = reply(204)
        monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
        for _ in range(2):
            await calls.post(there.url, {}, b"")
        assert there.accepted == 4


@pytest.mark.usefixtures("looks_often")
async def test_a_connection_is_closed_when_nothing_follows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    async with receiver() as there:
        user_id, channel_id = await webhook_of(database, there)
        await make(database, user_id, channel_id, "a")
        async with sending(database):
            await over(database, 1)
            await eventually(lambda: there.open == 0)
            assert there.accepted == 1


LEFTOVERS = {
    "a second answer": b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
    "a longer body than it said": b"ok",
    "a line end": b"\r\n",
}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class AtOnce(trio.abc.Stream):
    """A connection whose bytes are kept back until `flush`, so that they arrive together."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._kept = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._kept += data
        await trio.lowlevel.checkpoint()

    async def flush(self) -> None:
        kept, self._kept = self._kept, b""
        await self._stream.send_all(kept)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await self.flush()  # what a handshake says
        return await self._stream.receive_some(max_bytes)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@pytest.mark.parametrize("leftover", LEFTOVERS)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_what_follows_an_answer_is_not_taken_for_the_next_calls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, leftover: str, secure: bool
) -> None:
    files = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["certfile"], files["keyfile"])
    monkeypatch.setenv("SSL_CERT_FILE", files["certfile"])
    calls, accepted = Outbound(private=True, trust=trusted_authorities()), 0

    async def answer_too_much(connected: trio.SocketStream) -> None:
        nonlocal accepted
        accepted += 1
        at_once = AtOnce(connected)
        stream: trio.abc.Stream = at_once
        if secure:
            stream = trio.SSLStream(at_once, context, server_side=True)
        with suppress(trio.BrokenResourceError):  # it is closed without a word in TLS
            while await stream.receive_some():
                await stream.send_all(ANSWER)
                await stream.send_all(LEFTOVERS[leftover])
                await at_once.flush()

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, answer_too_much, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        url = f"http{'s' if secure else ''}://127.0.0.1:{listener.socket.getsockname()[1]}/"
        try:
            for number in range(1, 3):
                assert (await calls.post(url, {}, b"")).status == 200
                assert accepted == number
        finally:
            await calls.close()
            nursery.cancel_scope.cancel()


async def test_a_call_that_is_left_leaves_no_connection(calls: Outbound) -> None:
    async with receiver() as there, trio.open_nursery() as nursery:
        there.always = reply(None)
        nursery.start_soon(calls.post, there.url, {}, b"")
        await there.has(1)
        nursery.cancel_scope.cancel()
    assert there.accepted == 1
    async with receiver() as other:
        await calls.post(other.url, {}, b"")
        assert (other.accepted, there.open) == (1, 0)


async def test_calls_at_the_same_moment_have_a_connection_each_and_few_are_kept(
    calls: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_IDLE_CONNECTIONS", 2)
    async with AsyncExitStack() as stack:
        there: list[Receiver] = [await stack.enter_async_context(receiver()) for _ in range(5)]
        for one in there:
            await calls.post(one.url, {}, b"")
        await eventually(lambda: [one.open for one in there] == [0, 0, 0, 1, 1])
        hanging = there[4]
        hanging.script.append(reply(None))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(calls.post, hanging.url, {}, b"")
            await hanging.has(2)
            await calls.post(hanging.url, {}, b"")  # while the other one waits
            assert hanging.accepted == 2
            nursery.cancel_scope.cancel()
