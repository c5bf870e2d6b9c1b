"""What Relay is measured against: the same server and framework, and nothing promised.

`python -m bench.peers PORT` serves a bare Quart handler that keeps events in memory, on Relay's
own guarded server: no tokens, no validation beyond JSON, no commit, no numbering.
"""

import json
import sys

import trio
from hypercorn.config import Config
from quart import Response, request
from quart_trio import QuartTrio

from relay.server.guard import GuardLimits
from relay.server.listeners import open_sockets
from relay.server.serve import serve


def bare_app() -> QuartTrio:
    app = QuartTrio("bench", static_folder=None)
    kept: list[object] = []

    @app.post("/api/webhook/cli")
    async def keep() -> Response:
        kept.append(json.loads(await request.get_data()))
        if len(kept) > 100_000:
            kept.clear()
        return Response(b'{"ok":true}', content_type="application/json")

    @app.websocket("/api/rt")
    async def idle() -> None:
        from quart import websocket

        while True:
            await websocket.receive()

    return app


async def main(port: int) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    await serve(
        bare_app(),
        config,
        open_sockets(config),
        limits=GuardLimits(),
        shutdown_trigger=trio.sleep_forever,
    )


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
