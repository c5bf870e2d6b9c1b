"""Quart-trio on an unmodified Hypercorn, in memory: the stack that Relay is built on.

python quart_hypercorn.py PORT
"""

import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request, websocket
from quart_trio import QuartTrio

app = QuartTrio("bench", static_folder=None)
channels: dict[str, set[trio.MemorySendChannel[str]]] = defaultdict(set)


@app.post("/api/webhook/cli")
async def accept() -> Response:
    user, body = request.args["user"], await request.get_data()
    for line in body.splitlines() if request.mimetype == "application/x-ndjson" else [body]:
        text = json.dumps(json.loads(line))
        for channel in channels[user]:
            channel.send_nowait(text)
    return Response(b'{"ok":true}', content_type="application/json")


@app.websocket("/api/rt")
async def watch() -> None:
    sending, receiving = trio.open_memory_channel[str](math.inf)
    user = websocket.args["user"]
    await websocket.accept()
    channels[user].add(sending)

    async def write() -> None:
        async for text in receiving:
            await websocket.send(text)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while True:
                await websocket.receive()
    finally:
        channels[user].discard(sending)


@app.get("/api/sse")
async def sse() -> Response:
    sending, receiving = trio.open_memory_channel[str](math.inf)
    user = request.args["user"]
    channels[user].add(sending)

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"retry: 2000\n\n"
            async for text in receiving:
                yield f"data: {text}\n\n".encode()
        finally:
            channels[user].discard(sending)

    response = Response(body(), content_type="text/event-stream")
    response.timeout = None
    return response


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.loglevel = "error"
    config.certfile = os.environ.get("TLS_CERTIFICATE")
    config.keyfile = os.environ.get("TLS_KEY")
    trio.run(serve, app, config)
