"""Where a stream starts: every row of the cursor table, on every route."""

import json
from typing import Any

import pytest
import trio

from tests.support.databases import trim
from tests.support.relay_server import Relay, User, bearer, handshake, open_stream

TRANSPORTS = ("websocket", "sse", "page")


async def started(
    user: User, transport: str, query: str, *, expect: int, headers: dict[str, str] | None = None
) -> tuple[dict[str, Any], list[int]]:
    """What a transport sends about its start, and the seqs of its first events."""
    if transport == "page":
        answer = await user.relay.http.get(
            f"/api/events{query}", headers={**bearer(user.session), **(headers or {})}
        )
        assert answer.status_code == 200, answer.text
        page = answer.json()
        return page, [event["seq"] for event in page.pop("events")]
    async with open_stream(
        user.relay, transport, user.session, query, headers=headers or {}
    ) as stream:
        hello = await stream.hello()
        greeting = {"hello": hello}
        seqs: list[int] = []
        while len(seqs) < expect:
            message = await stream.next()
            if message.get("type") == "gap":
                greeting["gap"] = message
            else:
                seqs.append(message["seq"])
        return greeting, seqs


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cursor_starts_where_the_documented_table_says(
    relay: Relay, database_url: str, transport: str
) -> None:
    user, stranger = await relay.user(), await relay.user()
    cursors = [receipt["cursor"] for receipt in await user.publish(6)]
    foreign = (await stranger.posted())["cursor"]
    epoch = cursors[0].partition(".")[0]
    await trim(database_url, user, 3)

    def at(seq: int) -> str:
        return f"{epoch}.{seq}"

    everything = [3, 4, 5, 6]
    rows: list[tuple[str, dict[str, Any], int, tuple[int, int] | None, list[int]]] = [
        # asked for, answered, position, gap, first events
        (f"after={at(4)}", {"resumed": True}, 4, None, [5, 6]),
        (f"after={at(2)}", {"resumed": True}, 2, None, everything),
        (f"after={at(6)}", {"resumed": True}, 6, None, []),
        (f"after={at(1)}", {"resumed": True}, 2, (2, 2), everything),
        (f"after={at(0)}", {"resumed": True}, 2, (1, 2), everything),
        (f"after={foreign}", {"resumed": False, "reason": "epoch"}, 2, None, everything),
        ("after=zzz.4", {"resumed": False, "reason": "epoch"}, 2, None, everything),
        (f"after={at(7)}", {"resumed": False, "reason": "ahead"}, 2, None, everything),
        (f"after={at(2**63 - 1)}", {"resumed": False, "reason": "ahead"}, 2, None, everything),
        ("after=oldest", {"resumed": False}, 2, None, everything),
        ("last=2", {"resumed": False}, 4, None, [5, 6]),
        ("last=4", {"resumed": False}, 2, None, everything),
        ("last=1000", {"resumed": False}, 2, None, everything),
        (f"lastEventId={at(5)}", {"resumed": True}, 5, None, [6]),
        (f"lastEventId={at(5)}&after={at(3)}", {"resumed": True}, 5, None, [6]),
        (f"lastEventId={at(5)}&after=oldest", {"resumed": True}, 5, None, [6]),
        (f"lastEventId={at(5)}&last=4", {"resumed": True}, 5, None, [6]),
    ]
    for query, answered, position, gap, seqs in rows:
        greeting, found = await started(user, transport, f"?{query}", expect=len(seqs))
        assert (query, found) == (query, seqs)
        if transport == "page":
            expected: dict[str, Any] = {"cursor": at(6), "oldest": 3, **answered}
            if gap:
                expected["gap"] = {"from": gap[0], "to": gap[1]}
            assert (query, greeting) == (query, expected)
            continue
        hello = greeting["hello"]
        facts = {"type": "hello", "cursor": at(position), "oldest": 3, **answered}
        assert hello["heartbeat_s"] > 0
        assert 0 < hello["token_ttl_s"] <= 30 * 86_400
        rest = {"heartbeat_s": hello["heartbeat_s"], "token_ttl_s": hello["token_ttl_s"]}
        assert (query, hello) == (query, {**facts, **rest})
        if gap:
            expected = {"type": "gap", "from": gap[0], "to": gap[1], "cursor": at(gap[1])}
            assert (query, greeting.get("gap")) == (query, expected)
        else:
            assert (query, "gap" in greeting) == (query, False)


async def test_without_a_cursor_streams_start_live_and_pages_at_the_oldest(relay: Relay) -> None:
    user = await relay.user()
    receipts = await user.publish(3)
    for transport in ("websocket", "sse"):
        async with open_stream(relay, transport, user.session) as stream:
            hello = await stream.hello()
            assert (hello["cursor"], hello["resumed"]) == (receipts[-1]["cursor"], False)
            assert "reason" not in hello
            receipts.append(await user.posted())
            assert [event["seq"] for event in await stream.events(1)] == [receipts[-1]["seq"]]
    page, seqs = await started(user, "page", "", expect=0)
    assert (page["resumed"], page["oldest"], seqs) == (False, 1, [1, 2, 3, 4, 5])


async def test_a_stream_without_events_has_a_cursor(relay: Relay) -> None:
    user = await relay.user()
    me = (await user.call("GET", "/api/me")).json()
    for transport in TRANSPORTS:
        for query in ("", "?after=oldest", "?last=5", f"?after={me['cursor']}"):
            greeting, _ = await started(user, transport, query, expect=0)
            greeting = greeting.get("hello", greeting)
            assert (transport, query, greeting["cursor"], greeting["oldest"]) == (
                transport,
                query,
                me["cursor"],
                1,
            )
            assert greeting["resumed"] is (me["cursor"] in query)


async def test_last_event_id_takes_precedence_over_the_query(relay: Relay) -> None:
    user = await relay.user()
    cursors = [receipt["cursor"] for receipt in await user.publish(5)]
    header = {"Last-Event-ID": cursors[3]}
    for query in (
        "",
        f"?after={cursors[0]}",
        f"?lastEventId={cursors[0]}",
        "?after=oldest",
        "?last=5",
    ):
        greeting, seqs = await started(user, "sse", query, expect=1, headers=header)
        assert (query, greeting["hello"]["cursor"], seqs) == (query, cursors[3], [5])


async def test_a_pages_cursor_continues_on_a_page_and_a_stream(relay: Relay) -> None:
    user = await relay.user()
    await user.publish(5)
    cursor, pages = "oldest", []
    for _ in range(3):
        answer = await user.call("GET", f"/api/events?after={cursor}&limit=2")
        pages.append([event["seq"] for event in answer.json()["events"]])
        cursor = answer.json()["cursor"]
    assert pages == [[1, 2], [3, 4], [5]]
    answer = await user.call("GET", f"/api/events?after={cursor}")
    assert (answer.json()["events"], answer.json()["cursor"]) == ([], cursor)
    await user.posted()
    for transport in ("websocket", "sse"):
        _, seqs = await started(user, transport, f"?after={cursor}", expect=1)
        assert seqs == [6]


async def test_invalid_parameters_are_refused_with_400(relay: Relay) -> None:
    user = await relay.user()
    cursor = (await user.posted())["cursor"]
    epoch = cursor.partition(".")[0]
    malformed = [
        "abc",
        "1",
        ".",
        ".1",
        "abc.",
        f"{epoch}.-1",
        f"{epoch}.1.1",
        f"{epoch}.01",
        f"{epoch}.1e3",
        f"{epoch}.x",
        f"{epoch}.{2**63}",
        f"{epoch}.{'9' * 5000}",
        f"%20{cursor}",
        f"{cursor}%0A",
        f"{epoch}.%D9%A1",
        f"{epoch}%00.1",
        "Oldest",
        "null",
        "%00",
        "%FF%FE",
    ]
    queries = [f"after={text}" for text in (*malformed, "")]
    queries += [f"lastEventId={text}" for text in (*malformed, "")]
    queries += [f"last={text}" for text in ("0", "-1", "1001", "x", "", "1.0", "1e2", "%D9%A1")]
    queries += [f"last=2&after={cursor}", "last=2&after=oldest"]
    for query in queries:
        page = await user.call("GET", f"/api/events?{query}")
        assert (query, page.status_code) == (query, 400)
        assert page.headers["Content-Type"] == "application/problem+json"
        sse = await user.call("GET", f"/api/sse?{query}")
        assert (query, sse.status_code) == (query, 400)
        websocket = await handshake(relay, f"?{query}", **bearer(user.session))
        assert (query, websocket.status_code) == (query, 400)
        assert websocket.json()["code"] in ("bad_request", "bad_cursor")
    for limit in ("0", "1001", "-1", "x", "", "1.5"):
        answer = await user.call("GET", f"/api/events?limit={limit}")
        assert (limit, answer.status_code) == (limit, 400)
    for text in ("abc", f"{epoch}.-1", "oldest"):
        headers = {**bearer(user.session), "Last-Event-ID": text}
        answer = await relay.http.get("/api/sse", headers=headers)
        assert (text, answer.status_code, answer.json()["code"]) == (text, 400, "bad_cursor")


async def test_any_word_before_the_dot_is_parsed_as_an_epoch(relay: Relay) -> None:
    user = await relay.user()
    await user.posted()
    for epoch in ("A1B2", "foreign-epoch", "another_one", "f" * 40):
        page = (await user.call("GET", f"/api/events?after={epoch}.1")).json()
        assert (epoch, page.get("reason")) == (epoch, "epoch")


async def test_a_page_has_as_many_events_as_asked_for(relay: Relay) -> None:
    user = await relay.user()
    line = json.dumps({"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": None})
    for _ in range(2):
        answer = await relay.http.post(
            "/api/webhook/cli",
            content="\n".join([line] * 600),
            headers={**bearer(await user.hook()), "Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == 200
    for query, first, count in (
        ("", 1, 1000),
        ("?limit=1", 1, 1),
        ("?limit=1000", 1, 1000),
        ("?last=1000", 201, 1000),
        ("?last=10&limit=3", 1191, 3),
        ("?last=1", 1200, 1),
    ):
        page = (await user.call("GET", f"/api/events{query}")).json()
        seqs = [event["seq"] for event in page["events"]]
        assert (query, seqs) == (query, list(range(first, first + count)))
        assert page["cursor"].endswith(f".{seqs[-1]}")
    for transport in ("websocket", "sse"):
        _, seqs = await started(user, transport, "?last=1000", expect=1000)
        assert seqs == list(range(201, 1201))


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_history_and_live_events_join_without_a_gap_under_load(
    relay: Relay, transport: str
) -> None:
    user = await relay.user()
    await user.publish(50)
    async with (
        open_stream(relay, transport, user.session, "?after=oldest") as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(user.publish, 100)
        assert [event["seq"] for event in await stream.events(150)] == list(range(1, 151))


async def test_every_sse_block_that_advances_has_its_cursor_as_id(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    cursors = [receipt["cursor"] for receipt in await user.publish(4)]
    await trim(database_url, user, 3)
    epoch = cursors[0].partition(".")[0]
    async with open_stream(relay, "sse", user.session, f"?after={cursors[0]}") as stream:
        hello, gap, event, _ = [await stream.block() for _ in range(4)]
    assert hello[:3] == ["retry: 2000", "event: hello", f"id: {epoch}.2"]
    assert gap[:2] == ["event: gap", f"id: {epoch}.2"]
    assert json.loads(gap[2].removeprefix("data: "))["cursor"] == f"{epoch}.2"
    assert event[0] == f"id: {cursors[2]}"
    assert event[1].startswith("data: ")
