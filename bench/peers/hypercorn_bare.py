"""A bare ASGI app on Hypercorn's trio worker, in memory, without a framework.

python hypercorn_bare.py PORT
"""

import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

channels: dict[str, set[trio.MemorySendChannel[str]]] = defaultdict(set)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    user = parse_qs(scope["query_string"].decode()).get("user", [""])[0]
    if scope["type"] == "websocket":
        await watch(user, receive, send)
    elif scope["path"] == "/api/sse":
        await sse(user, receive, send)
    else:
        await accept(user, dict(scope["headers"]), receive, send)


async def accept(user: str, headers: dict[bytes, bytes], receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    many = headers.get(b"content-type") == b"application/x-ndjson"
    for line in body.splitlines() if many else [body] if body else []:
        text = json.dumps(json.loads(line))
        for channel in channels[user]:
            channel.send_nowait(text)
    answered = [(b"content-type", b"application/json"), (b"content-length", b"11")]
    await send({"type": "http.response.start", "status": 200, "headers": answered})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})


async def following(
    user: str, write: Callable[[str], Awaitable[None]], ended: Callable[[], Awaitable[None]]
) -> None:
    """Write what comes until the client has ended it."""
    sending, receiving = trio.open_memory_channel[str](math.inf)
    channels[user].add(sending)

    async def pump() -> None:
        async for text in receiving:
            await write(text)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump)
            await ended()
            nursery.cancel_scope.cancel()
    finally:
        channels[user].discard(sending)


async def watch(user: str, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})

    async def ended() -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def write(text: str) -> None:
        await send({"type": "websocket.send", "text": text})

    await following(user, write, ended)


async def sse(user: str, receive: Any, send: Any) -> None:
    async def part(text: str) -> None:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def ended() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await part("retry: 2000\n\n")
    await following(user, lambda text: part(f"data: {text}\n\n"), ended)


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.loglevel = "error"
    config.certfile = os.environ.get("TLS_CERTIFICATE")
    config.keyfile = os.environ.get("TLS_KEY")
    trio.run(serve, app, config)
