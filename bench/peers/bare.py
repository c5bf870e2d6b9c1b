"""A bare ASGI application in memory, under each of two servers.

    python bare.py hypercorn|relay PORT

It reads a POST's body and answers, so that only the server is measured.
"""

import sys
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as unmodified

from relay.server.limits import ConnectionLimits
from relay.server.listeners import open_sockets
from relay.server.serve import ServerConfig, serve

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


async def main(server: str, port: int) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_max_requests = 1_000_000_000
    config.loglevel = "error"
    if server == "hypercorn":
        await unmodified(app, config)
    else:
        await serve(
            app,
            open_sockets(config),
            ServerConfig(hypercorn=config, limits=ConnectionLimits()),
            shutdown_trigger=trio.sleep_forever,
        )


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
