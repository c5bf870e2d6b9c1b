"""What comes next in many streams, by one query, within the bounds of one commit."""

from uuid import uuid4

from relay.db.pages import select_events
from tests.db.test_retention import database_of
from tests.live import Relay


async def test_each_stream_goes_on_where_it_was_asked_for(relay: Relay, database_url: str) -> None:
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


async def test_a_long_stream_leaves_room_for_the_others(relay: Relay, database_url: str) -> None:
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
