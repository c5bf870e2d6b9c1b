"""FastAPI + uvicorn + asyncpg: JWT, validation, a durable insert per POST, a queue per stream.

    python fastapi_durable.py PORT      (DATABASE_URL, JWT_SECRET)

This is what a good team could write in a week. It runs as one process, because several would need a
broker. It numbers events by `bigserial`, which is not the commit order. A stream that falls behind
is closed, and its client reconnects with `after`.
"""

import asyncio
import json
import os
import sys
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import asyncpg
import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, TypeAdapter

SECRET = os.environ["JWT_SECRET"]
QUEUE = 10_000  # events that a stream may be behind
PAGE = 1_000
TABLE = """
CREATE TABLE IF NOT EXISTS events (
    id bigserial PRIMARY KEY, user_id text NOT NULL, event_type text NOT NULL,
    task_id text, ts timestamptz NOT NULL, payload jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX IF NOT EXISTS events_of_a_user ON events (user_id, id)"""
INSERT = """
INSERT INTO events (user_id, event_type, task_id, ts, payload)
VALUES ($1, $2, $3, $4, $5) RETURNING id"""
INSERT_MANY = """
INSERT INTO events (user_id, event_type, task_id, ts, payload)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::jsonb[]) RETURNING id"""
MISSED = "SELECT * FROM events WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3"


class Event(BaseModel):
    event_type: Literal["task_started", "task_progress", "task_succeeded", "task_failed", "log"]
    ts: datetime
    payload: dict[str, Any]
    task_id: str | None = None


Lines = TypeAdapter(list[Event])
streams: dict[str, set["Stream"]] = defaultdict(set)


class Stream:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[int, str]] = asyncio.Queue(QUEUE)
        self.lagging = False


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=8, max_size=8) as pool:
        await pool.execute(TABLE)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def user_of(token: str) -> str:
    try:
        return jwt.decode(token, SECRET, ["HS256"], audience="bench")["sub"]
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None


async def current(given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    return user_of(given.credentials)


User = Annotated[str, Depends(current)]


def encode(id: int, event_type: str, task_id: str | None, ts: datetime, payload: str) -> str:
    head = {"id": id, "event_type": event_type, "task_id": task_id, "ts": ts.isoformat()}
    return f'{json.dumps(head)[:-1]}, "payload": {payload}}}'


def publish(user: str, id: int, text: str) -> None:
    for stream in streams[user]:
        if stream.queue.full():
            stream.lagging = True
        else:
            stream.queue.put_nowait((id, text))


@app.post("/api/webhook/cli")
async def accept(request: Request, user: User) -> dict[str, Any]:
    if request.headers["content-type"] == "application/x-ndjson":
        lines = (await request.body()).splitlines()
        events = Lines.validate_json(b"[%s]" % b",".join(lines))
    else:
        events = [Event.model_validate_json(await request.body())]
    payloads = [json.dumps(event.payload) for event in events]
    pool = app.state.pool
    if len(events) == 1:
        (event,), (payload,) = events, payloads
        row = (user, event.event_type, event.task_id, event.ts, payload)
        ids = [await pool.fetchval(INSERT, *row)]
    else:
        columns = zip(*((e.event_type, e.task_id, e.ts) for e in events), strict=True)
        rows = await pool.fetch(INSERT_MANY, user, *map(list, columns), payloads)
        ids = [row["id"] for row in rows]
    for id, event, payload in zip(ids, events, payloads, strict=True):
        publish(user, id, encode(id, event.event_type, event.task_id, event.ts, payload))
    return {"ok": True, "id": ids[-1]}


async def following(user: str, after: int | None):
    """The user's events after `after`: stored ones first, then live ones."""
    stream = Stream()
    streams[user].add(stream)
    try:
        last = after or 0
        while after is not None:
            rows = await app.state.pool.fetch(MISSED, user, last, PAGE)
            for row in rows:
                yield encode(
                    row["id"], row["event_type"], row["task_id"], row["ts"], row["payload"]
                )
                last = row["id"]
            if len(rows) < PAGE:
                break
        while not stream.lagging:
            id, text = await stream.queue.get()
            if id > last or after is None:
                yield text
    finally:
        streams[user].discard(stream)


@app.websocket("/api/rt")
async def watch(websocket: WebSocket, after: int | None = None) -> None:
    user = user_of(websocket.headers.get("authorization", "").removeprefix("Bearer "))
    await websocket.accept()

    async def write() -> None:
        async for text in following(user, after):
            await websocket.send_text(text)
        await websocket.close(1013)

    writing = asyncio.create_task(write())
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        writing.cancel()


@app.get("/api/sse")
async def sse(user: User, after: int | None = None) -> StreamingResponse:
    async def body():
        yield "retry: 2000\n\n"
        async for text in following(user, after):
            yield f"data: {text}\n\n"

    return StreamingResponse(body(), media_type="text/event-stream")


if __name__ == "__main__":
    # the load generator sends pongs unasked and does not answer pings
    quiet = {"access_log": False, "log_level": "warning", "ws_ping_interval": None}
    tls = {
        "ssl_certfile": os.environ.get("TLS_CERTIFICATE"),
        "ssl_keyfile": os.environ.get("TLS_KEY"),
    }
    uvicorn.run(app, port=int(sys.argv[1]), **quiet, **tls)
