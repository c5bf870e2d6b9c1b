"""How streams end, read from both transports, and batches that fill them."""

from typing import Any

import pytest
import trio

from tests.support.client.connection import ClientConnection
from tests.support.client.streams import WebSocketStream
from tests.support.patience import PATIENCE
from tests.support.relay_server import User, bearer

TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "sse"])


async def ended(stream: Any) -> dict[str, Any]:
    """The in-band close, and that nothing but the end follows it."""
    close: dict[str, Any] = await stream.control("close")
    assert set(close) == {"type", "code", "reason", "retry_after_ms"}, close
    if isinstance(stream, WebSocketStream):
        assert await stream.close_code() == close["code"]
    else:
        with pytest.raises(EOFError), trio.fail_after(PATIENCE):
            await stream.block()
    return close


async def batch(user: User, count: int, payload: str = "{}") -> None:
    line = f'{{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{payload}}}'
    headers = {**bearer(await user.hook()), "Content-Type": "application/x-ndjson"}
    answer = await user.relay.http.post(
        "/api/webhook/cli", content="\n".join([line] * count), headers=headers
    )
    assert answer.status_code == 200, answer.text


async def close_of(socket: ClientConnection) -> tuple[int | None, int]:
    """The code of the in-band close, None if there was none, and of the close frame."""
    message = await socket.message()
    if isinstance(message, int):
        return None, message
    assert set(message) == {"type", "code", "reason", "retry_after_ms"}
    code = await socket.message()
    assert isinstance(code, int)
    return message["code"], code
