"""Reading back: the right range of events, within bounds, byte for byte as delivered live."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.db.journal import Journal
from relay.db.pages import select_events, select_page
from relay.events import EVENT_TYPES, NewEvent
from relay.realtime.encoding import event_json
from tests.support.databases import database_of
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay


async def test_each_stream_is_read_from_its_requested_position(
    relay: Relay, database_url: str
) -> None:
    users = [await relay.user() for _ in range(3)]
    for number, user in enumerate(users):
        await user.publish(4 + number)
    ids = [user.user_id for user in users]
    async with database_of(database_url) as database:
        asked = {ids[0]: 4, ids[1]: 3, ids[2]: 0, uuid4(): 0}
        found = await select_events(database, asked, 1_000, 2**20)  # type: ignore[arg-type]
        assert {str(user): [event.seq for event in events] for user, events in found.items()} == {
            ids[1]: [4, 5],
            ids[2]: [1, 2, 3, 4, 5, 6],
        }
        assert await select_events(database, {}, 1_000, 2**20) == {}


async def test_a_trimmed_stream_is_read_from_its_oldest_event(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    await user.publish(9)
    user_id = UUID(user.user_id)
    async with database_of(database_url) as database:
        await database.execute("DELETE FROM events WHERE user_id = $1 AND seq < 7", user_id)
        await database.execute("UPDATE users SET oldest_seq = 7 WHERE user_id = $1", user_id)
        for after in (0, 3, 6):
            page = await select_page(database, user_id, after, 2, 2**20)
            assert (page.first, len(page.texts)) == (7, 2)
            found = await select_events(database, {user_id: after}, 2, 2**20)
            assert [event.seq for event in found[user_id]] == [7, 8]


async def test_a_long_stream_does_not_crowd_out_others(relay: Relay, database_url: str) -> None:
    long, short = await relay.user(), await relay.user()
    await long.publish(20)
    await short.publish(2)
    asked = {long.user_id: 0, short.user_id: 0}
    async with database_of(database_url) as database:
        by_count = await select_events(database, asked, 10, 2**20)  # type: ignore[arg-type]
        # the first is read whatever it weighs; each of these weighs some 207 bytes
        by_bytes = await select_events(database, asked, 1_000, 1_000)  # type: ignore[arg-type]
        one = await select_events(database, asked, 1_000, 1)  # type: ignore[arg-type]
    for found, most in ((by_count, 10), (by_bytes, 5), (one, 1)):
        seqs = {str(user): [event.seq for event in events] for user, events in found.items()}
        assert sum(map(len, seqs.values())) == most
        for numbers in seqs.values():
            assert numbers == list(range(1, len(numbers) + 1))
        if most > 4:
            assert seqs[short.user_id] == [1, 2]


EVENTS_A_REQUEST = 10
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))
NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
EVENTS = st.builds(
    NewEvent,
    id=NAMES,
    event_type=st.sampled_from(EVENT_TYPES),
    task_id=st.none() | NAMES,
    ts=st.sampled_from(["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.123456789+05:30"]),
    payload=TEXTS.map(json.dumps) | st.just('{"b" : [1.0, 2e400], "a":"\\u0000é"}'),
    received_at=MOMENTS,
)


def requests(events: list[NewEvent]) -> Iterator[list[NewEvent]]:
    """A few events each, which were received at one moment."""
    for start in range(0, len(events), EVENTS_A_REQUEST):
        request = events[start : start + EVENTS_A_REQUEST]
        moment = request[0].received_at
        yield [msgspec.structs.replace(event, received_at=moment) for event in request]


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, min_size=60, max_size=200, unique_by=lambda event: event.id))
async def test_events_read_back_equal_events_delivered_live(
    database_url: str, events: list[NewEvent]
) -> None:
    user_id = uuid4()
    live: list[bytes] = []
    async with database_of(database_url) as database, trio.open_nursery() as nursery:
        await database.execute("INSERT INTO users (user_id, epoch) VALUES ($1, 'e-_9')", user_id)
        journal = Journal(
            database,
            lambda *of: live.extend([event_json(event) for event in of[1]]),
            lambda *_: None,
            queue_events=1_000,
            queue_bytes=2**24,
            readers=1,
            timeout=PATIENCE,
        )
        await nursery.start(journal.run)
        for request in requests(events):
            await journal.append(user_id, request)
        page = await journal.read(user_id, 0, len(events))
        one = await journal.read(user_id, 7, 1)
        many = await journal.read_many({user_id: 0})
        nothing = await journal.read(user_id, len(events))
        nursery.cancel_scope.cancel()
    assert (page.first, page.texts, page.cursor) == (1, live, f"e-_9.{len(live)}")
    assert (one.first, one.texts) == (8, [live[7]])
    assert [stored.text for stored in many[user_id]] == live
    assert [stored.seq for stored in many[user_id]] == list(range(1, len(live) + 1))
    assert (nothing.texts, nothing.head.last) == ([], len(live))
