"""Starlette + uvicorn, in memory: no credential, no validation beyond JSON, nothing stored.

python starlette_memory.py PORT
"""

import asyncio
import json
import os
import sys
from collections import defaultdict

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

queues: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def accept(request) -> Response:
    user, body = request.query_params["user"], await request.body()
    many = request.headers["content-type"] == "application/x-ndjson"
    for line in body.splitlines() if many else [body]:
        text = json.dumps(json.loads(line))
        for queue in queues[user]:
            queue.put_nowait(text)
    return Response(b'{"ok":true}', media_type="application/json")


async def watch(websocket) -> None:
    await websocket.accept()
    user, queue = websocket.query_params["user"], asyncio.Queue()
    queues[user].add(queue)

    async def write() -> None:
        while True:
            await websocket.send_text(await queue.get())

    writing = asyncio.create_task(write())
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        writing.cancel()
        queues[user].discard(queue)


async def sse(request) -> StreamingResponse:
    async def body():
        user, queue = request.query_params["user"], asyncio.Queue()
        queues[user].add(queue)
        try:
            yield "retry: 2000\n\n"
            while True:
                yield f"data: {await queue.get()}\n\n"
        finally:
            queues[user].discard(queue)

    return StreamingResponse(body(), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route("/api/webhook/cli", accept, methods=["POST"]),
        WebSocketRoute("/api/rt", watch),
        Route("/api/sse", sse),
    ]
)

if __name__ == "__main__":
    # the load generator sends pongs unasked and does not answer pings
    quiet = {"access_log": False, "log_level": "warning", "ws_ping_interval": None}
    tls = {
        "ssl_certfile": os.environ.get("TLS_CERTIFICATE"),
        "ssl_keyfile": os.environ.get("TLS_KEY"),
    }
    uvicorn.run(app, port=int(sys.argv[1]), **quiet, **tls)
