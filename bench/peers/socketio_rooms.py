"""python-socketio on uvicorn, in memory: one room per user, with its own protocol.

python socketio_rooms.py PORT
"""

import json
import os
import sys
from urllib.parse import parse_qs

import socketio
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

# the load generator does not answer pings, so none are sent during a run
server = socketio.AsyncServer(async_mode="asgi", ping_interval=3_600)


@server.event
async def connect(sid, environ) -> None:
    await server.enter_room(sid, parse_qs(environ["QUERY_STRING"])["user"][0])


async def accept(request) -> Response:
    user, body = request.query_params["user"], await request.body()
    many = request.headers["content-type"] == "application/x-ndjson"
    for line in body.splitlines() if many else [body]:
        await server.emit("event", json.loads(line), room=user)
    return Response(b'{"ok":true}', media_type="application/json")


app = socketio.ASGIApp(
    server, Starlette(routes=[Route("/api/webhook/cli", accept, methods=["POST"])])
)

if __name__ == "__main__":
    quiet = {"access_log": False, "log_level": "warning", "ws_ping_interval": None}
    tls = {
        "ssl_certfile": os.environ.get("TLS_CERTIFICATE"),
        "ssl_keyfile": os.environ.get("TLS_KEY"),
    }
    uvicorn.run(app, port=int(sys.argv[1]), **quiet, **tls)
