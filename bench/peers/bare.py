"""A bare ASGI application in memory, under each of three servers.

    python bare.py hypercorn|guard|lean PORT

It reads a POST's body and answers; there is nothing to measure but the server.
"""

import sys
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as unmodified

from relay.server.bounds import GuardLimits
from relay.server.listeners import open_sockets
from relay.server.serve import serve
from relay.serving import LAYERS

START = {"type": "http.response.start", "status": 200}
HEADERS = [(b"content-length", b"11"), (b"content-type", b"application/json")]


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            event = await receive()
            await send({"type": event["type"] + ".complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({**START, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})


async def main(layer: str, port: int) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_max_requests = 1_000_000_000
    config.loglevel = "error"
    if layer == "hypercorn":
        await unmodified(app, config)
    else:
        await serve(
            app,
            config,
            open_sockets(config),
            limits=GuardLimits(),
            layer=LAYERS[layer],
            shutdown_trigger=trio.sleep_forever,
        )


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
