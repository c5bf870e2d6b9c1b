"""Hostile WebSocket clients with a valid token."""

from functools import partial

import pytest

from tests.support.accounts import Account
from tests.support.attackers import (
    Attacked,
    besieged,
    crowd,
    dialled,
    highest,
    others_are_served,
    unharmed,
)
from tests.support.attacks import (
    COMPRESSED,
    ENDINGS,
    FIN_CLOSE,
    FLOODS,
    handshake,
    pour,
    talk,
)
from tests.support.client.protocol import masked

AT_ONCE = 50
MESSAGE = 131_072  # bytes, `websocket_max_message_size`
CONNECTION = 51_200  # bytes that an idle one may cost


@pytest.mark.parametrize("ending", ENDINGS)
async def test_hostile_messages_end_with_their_close_code_and_cost_no_memory(
    attacked: Attacked, victim: Account, ending: str
) -> None:
    codes: list[int] = []

    async def stranger() -> None:
        codes.append(await talk(attacked.port, victim, ending))

    async with unharmed(attacked), highest(attacked.memory) as memory:
        was = attacked.memory()
        await crowd(AT_ONCE, stranger)
        assert memory() - was < AT_ONCE * (2 * MESSAGE + CONNECTION)
    assert codes == [ENDINGS[ending][2]] * AT_ONCE


async def test_offered_compression_is_never_negotiated(attacked: Attacked, victim: Account) -> None:
    async with unharmed(attacked), dialled(attacked.port) as tcp:
        await tcp.send(handshake(victim, COMPRESSED) + masked(FIN_CLOSE, b""))
        answer = await tcp.rest()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-extensions" not in answer.lower()


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("listens", [True, False])
async def test_a_flood_of_frames_is_cut_and_others_are_served_meanwhile(
    attacked: Attacked, victim: Account, flood: str, listens: bool
) -> None:
    stranger = partial(pour, attacked.port, victim, flood, listens=listens)
    async with unharmed(attacked), besieged(8, stranger):
        await others_are_served(attacked, victim)
