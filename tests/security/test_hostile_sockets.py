"""WebSockets of strangers who have a token and no manners."""

import random

import pytest
import trio

from tests.faults.ledger import Account
from tests.raw import HANDSHAKE, head
from tests.security.strangers import (
    Attacked,
    crowd,
    dialled,
    for_ever,
    heard,
    highest,
    unharmed,
)
from tests.server.test_websocket_guard import masked

AT_ONCE = 50
MESSAGE = 131_072  # bytes, `websocket_max_message_size`
CONNECTION = 51_200  # bytes that an idle one may cost
LATE = 5.0  # seconds; as long as they may, floods go on for ever
COMPRESSED = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
FIN_CLOSE = 0x88


def handshake(account: Account, *more: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    return head("/api/rt", *lines, f"Authorization: Bearer {account.session}", *more, method="GET")


def close_code(received: bytes) -> int:
    """The code of the close frame, which is the last thing that was heard."""
    at = received.rindex(b"\x88", 0, -2)
    while received[at + 1] != len(received) - at - 2:  # a byte of the frame's own payload
        at = received.rindex(b"\x88", 0, at)
    return int.from_bytes(received[at + 2 : at + 4], "big")


def frame(first: int, payload: bytes) -> bytes:
    """A client's frame of any size, masked with zeros."""
    if len(payload) < 126:
        return masked(first, payload)
    size = len(payload)
    length = (
        b"\xfe" + size.to_bytes(2, "big") if size < 2**16 else b"\xff" + size.to_bytes(8, "big")
    )
    return bytes((first,)) + length + bytes(4) + payload


ENDINGS = {
    "fragments without end": (frame(0x01, b"x" * 4000), frame(0x00, b"x" * 4000), 1009),
    "a frame without end": (b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4), b"x" * 4096, 1009),
    "a frame over the limit": (frame(0x81, b"x" * 200_000), b"", 1009),
    "messages without end": (frame(0x81, b"x"), frame(0x81, b"x"), 4429),
    "empty messages": (frame(0x82, b""), frame(0x82, b""), 4429),
    "text that is none": (frame(0x81, b"\xff\xfe"), b"", 1007),
    "half a character for ever": (frame(0x01, b"\xe2\x82"), frame(0x00, b"\xe2"), 1007),
    "a length that cannot be": (b"\x82\xff" + b"\xff" * 8, b"", 1002),
    "a bomb though nothing was agreed on": (frame(0xC1, bytes(117)), b"", 1002),
    "rubbish": (random.Random(7).randbytes(5_000), b"", 1002),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_each_is_ended_with_its_reason_and_costs_no_memory(
    attacked: Attacked, victim: Account, ending: str
) -> None:
    first, then, code = ENDINGS[ending]
    codes: list[int] = []

    async def talk() -> None:
        async with dialled(attacked.port) as tcp, trio.open_nursery() as nursery:
            await tcp.send_all(handshake(victim, COMPRESSED) + first)
            if then:
                nursery.start_soon(for_ever, tcp, then)
            codes.append(close_code(await heard(tcp)))
            nursery.cancel_scope.cancel()

    async with unharmed(attacked), highest(attacked.memory) as memory:
        was = attacked.memory()
        await crowd(AT_ONCE, talk)
        assert memory() - was < AT_ONCE * (2 * MESSAGE + CONNECTION)
    assert codes == [code] * AT_ONCE


async def test_compression_is_offered_and_never_agreed_on(
    attacked: Attacked, victim: Account
) -> None:
    async with unharmed(attacked), dialled(attacked.port) as tcp:
        await tcp.send_all(handshake(victim, COMPRESSED) + frame(FIN_CLOSE, b""))
        answer = await heard(tcp)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-extensions" not in answer.lower()


FLOODS = {
    "pings": frame(0x89, b"x" * 125),
    "empty pings": frame(0x89, b""),
    "pongs": frame(0x8A, b""),
    "empty fragments": frame(0x00, b""),
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("listens", [True, False])
async def test_a_flood_of_frames_is_cut_before_others_feel_it(
    attacked: Attacked, victim: Account, flood: str, listens: bool
) -> None:
    async def pour() -> None:
        async with dialled(attacked.port) as tcp, trio.open_nursery() as nursery:
            await tcp.send_all(handshake(victim) + frame(0x01, b""))
            if listens:
                nursery.start_soon(for_ever, tcp, FLOODS[flood] * 1_000)
                assert close_code(await heard(tcp)) == 1008
                nursery.cancel_scope.cancel()
            else:
                await for_ever(tcp, FLOODS[flood] * 1_000)

    async with unharmed(attacked):
        with trio.fail_after(LATE):
            await crowd(8, pour)
