"""Litestar with its channels plugin on uvicorn, in memory.

python litestar_channels.py PORT
"""

import json
import os
import sys

import uvicorn
from litestar import Litestar, Request, WebSocket, get, post, websocket
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.exceptions import WebSocketDisconnect
from litestar.response import ServerSentEvent

channels = ChannelsPlugin(MemoryChannelsBackend(), arbitrary_channels_allowed=True)


@post("/api/webhook/cli", status_code=200)
async def accept(request: Request, user: str) -> dict[str, bool]:
    body = await request.body()
    many = request.headers["content-type"] == "application/x-ndjson"
    for line in body.splitlines() if many else [body]:
        channels.publish(json.loads(line), [user])
    return {"ok": True}


@websocket("/api/rt")
async def watch(socket: WebSocket, user: str) -> None:
    await socket.accept()
    async with (
        channels.start_subscription([user]) as subscriber,
        subscriber.run_in_background(socket.send_data),
    ):
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            pass


@get("/api/sse")
async def sse(user: str) -> ServerSentEvent:
    async def events():
        async with channels.start_subscription([user]) as subscriber:
            async for event in subscriber.iter_events():
                yield event.decode()

    return ServerSentEvent(events())


app = Litestar([accept, watch, sse], plugins=[channels], openapi_config=None)

if __name__ == "__main__":
    # the load generator sends pongs unasked and does not answer pings
    quiet = {"access_log": False, "log_level": "warning", "ws_ping_interval": None}
    tls = {
        "ssl_certfile": os.environ.get("TLS_CERTIFICATE"),
        "ssl_keyfile": os.environ.get("TLS_KEY"),
    }
    uvicorn.run(app, port=int(sys.argv[1]), **quiet, **tls)
