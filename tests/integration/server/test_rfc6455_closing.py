"""A WebSocket's close by RFC 6455: which codes are answered, and what follows."""

import pytest
from wsproto.events import CloseConnection

from tests.support.client.connection import ClientConnection
from tests.support.server.client_frames import close, frame
from tests.support.server.echo import Echo
from tests.support.server.stage import serving

FAIR = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999]
UNFAIR = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]


@pytest.mark.parametrize("code", FAIR)
async def test_a_close_is_answered_with_its_code(code: int) -> None:
    echo = Echo()
    async with serving(echo) as server:
        client = await server.websocket()
        await client.accepted()
        await client.send(close(code, b"bye"))
        assert await client.close_code() == code
        assert await client.rest() == b""
        await server.observer.until(lambda: server.observer.live == 0)
    assert echo.heard[0][-1] == {"type": "websocket.disconnect", "code": code}


@pytest.mark.parametrize("code", UNFAIR)
async def test_a_reserved_close_code_is_an_error(client: ClientConnection, code: int) -> None:
    await client.send(close(code))
    assert await client.close_code() == 1002


async def test_a_close_without_a_code_is_answered_and_reported_as_1005() -> None:
    echo = Echo()
    async with serving(echo) as server:
        client = await server.websocket()
        await client.accepted()
        await client.send(frame(0x88))
        assert isinstance(await client.frame(), CloseConnection)
        assert await client.rest() == b""
        await server.observer.until(lambda: server.observer.live == 0)
    assert echo.heard[0][-1] == {"type": "websocket.disconnect", "code": 1005}


async def test_data_after_a_close_is_ignored() -> None:
    echo = Echo()
    async with serving(echo) as server:
        client = await server.websocket()
        await client.accepted()
        await client.send(close(1000) + frame(0x81, b"too late") + frame(0x89, b"too late"))
        assert await client.close_code() == 1000
        assert await client.rest() == b""
        await echo.hung_up.wait()
    assert [event["type"] for event in echo.heard[0][1:]] == ["websocket.disconnect"]
