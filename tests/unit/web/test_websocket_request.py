"""What a WebSocket's request keeps while the stream is open, which may be for days."""

from typing import Any, cast

from relay.web.request import WebSocketRequest


async def test_an_accepted_handshake_keeps_no_headers() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"headers": [(b"origin", b"https://page.example")]}
    request = WebSocketRequest(scope, cast("Any", None), send, cast("Any", None))
    assert request.origin == "https://page.example"
    await request.accept("relay.v1")
    assert [(one["type"], one["subprotocol"]) for one in sent] == [("websocket.accept", "relay.v1")]
    assert not request.headers
    assert not scope["headers"]
