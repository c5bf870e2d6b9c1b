"""Many events in one request: newline-delimited JSON, stored whole or not at all."""

import json
from typing import Any

import httpx

from tests.support.client.protocol import head
from tests.support.relay_server import Relay, User, bearer, raw_http

NDJSON = "application/x-ndjson"


def line(**fields: Any) -> bytes:
    event = {"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {}, **fields}
    return json.dumps(event).encode()


async def send(user: User, body: bytes, content_type: str = NDJSON) -> httpx.Response:
    headers = {"Content-Type": content_type, **bearer(await user.hook())}
    return await user.relay.http.post("/api/webhook/cli", content=body, headers=headers)


async def stored(user: User) -> list[Any]:
    answer = await user.call("GET", "/api/events")
    return [event["payload"] for event in answer.json()["events"]]


async def test_a_batch_is_stored_in_order_in_one_commit(relay: Relay) -> None:
    user = await relay.user()
    await user.posted(payload="before")
    lines = [line(payload=n) for n in range(1000)]
    async with user.websocket() as stream:
        hello = await stream.hello()
        answer = await send(user, b"\n".join(lines) + b"\n")
        assert [event["seq"] for event in await stream.events(1000)] == list(range(2, 1002))
    epoch = hello["cursor"].partition(".")[0]
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "ok": True,
            "accepted": 1000,
            "duplicates": 0,
            "first_seq": 2,
            "last_seq": 1001,
            "cursor": f"{epoch}.1001",
            "watchers": 1,
        },
    )
    assert (await stored(user))[:3] == ["before", 0, 1]


async def test_line_endings_vary_and_blank_lines_are_skipped(relay: Relay) -> None:
    user = await relay.user()
    for number, body in enumerate(
        (line(payload=0), line(payload=1) + b"\r\n", b"\n\n" + line(payload=2) + b"\n  \n")
    ):
        answer = await send(user, body, f"{NDJSON}; charset=utf-8")
        assert (number, answer.status_code) == (number, 200), answer.text
    assert await stored(user) == [0, 1, 2]


async def test_one_bad_line_stores_nothing_and_all_bad_lines_are_listed(relay: Relay) -> None:
    user = await relay.user()
    body = b"\n".join(
        [
            line(),
            line(ts="today", extra=1),
            b"no json",
            b"",
            line(payload="x" * 65_535),
            line(event_id="\u00e9"),
            line(),
            b"\xff",
            line(payload="a") + line(payload="b"),
        ]
    )
    answer = await send(user, body)
    assert answer.status_code == 422
    named = [error["where"] for error in answer.json()["errors"]]
    assert sorted({where.partition(":")[0] for where in named}) == [
        "line 2",
        "line 3",
        "line 5",
        "line 6",
        "line 8",
        "line 9",
    ]
    assert {"line 2: ts", "line 2: extra", "line 6: event_id"} <= set(named)
    assert await stored(user) == []


async def test_duplicates_inside_a_batch_count_and_the_first_stands(relay: Relay) -> None:
    user = await relay.user()
    await user.posted(event_id="a", payload="old")
    ids = ["a", "b", "b", "c", "a"]
    body = b"\n".join(line(event_id=name, payload=n) for n, name in enumerate(ids))
    answer = (await send(user, body)).json()
    assert (answer["duplicates"], answer["first_seq"], answer["last_seq"]) == (3, 2, 3)
    assert await stored(user) == ["old", 1, 3]


async def test_a_batch_of_known_events_has_no_new_seqs(relay: Relay) -> None:
    user = await relay.user()
    body = line(event_id="a") + b"\n" + line(event_id="b")
    first = (await send(user, body)).json()
    again = (await send(user, body)).json()
    assert (first["first_seq"], first["last_seq"], first["duplicates"]) == (1, 2, 0)
    assert (again["first_seq"], again["last_seq"], again["duplicates"]) == (None, None, 2)
    assert again["cursor"] == first["cursor"]


async def test_a_batch_has_at_most_1000_events_and_1_mib(relay: Relay) -> None:
    user = await relay.user()
    too_many = await send(user, b"\n".join([line()] * 1001))
    assert (too_many.status_code, "1000" in too_many.json()["detail"]) == (413, True)
    async with raw_http(relay) as connection:  # it is answered before it was all sent
        await connection.send(
            head(
                "/api/webhook/cli",
                f"Authorization: Bearer {await user.hook()}",
                f"Content-Type: {NDJSON}",
                f"Content-Length: {2**20 + 1}",
            )
        )
        too_long = await connection.answer()
    assert (too_long.status_code, str(2**20) in too_long.json()["detail"]) == (413, True)
    assert await stored(user) == []
    assert (await send(user, line().ljust(2**20))).status_code == 200


async def test_an_empty_batch_is_refused(relay: Relay) -> None:
    user = await relay.user()
    for body in (b"", b"\n\n"):
        assert (await send(user, body)).status_code == 400


async def test_a_batch_sent_as_json_is_refused(relay: Relay) -> None:
    user = await relay.user()
    assert (await send(user, line() + b"\n" + line(), "application/json")).status_code == 400
