"""An event id is stored once for its user, by whichever token and however often it is repeated."""

from typing import Any
from uuid import UUID

import pytest
import trio

from tests.support.relay_server import Relay, open_stream
from tests.support.stored_events import stored


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_the_same_event_id_fifty_times_at_once_is_one_event(
    relay: Relay, transport: str
) -> None:
    user = await relay.user()
    await user.hook()
    receipts: list[dict[str, Any]] = []

    async def post(number: int) -> None:
        receipts.append(await user.posted(event_id="same", payload=number))

    async with open_stream(relay, transport, user.session) as stream:
        await stream.hello()
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(post, number)
        await user.posted(event_id="next")
        assert [event["id"] for event in await stream.events(2)] == ["same", "next"]
    assert sorted(receipt["duplicate"] for receipt in receipts) == [False] + [True] * 49
    assert {(r["id"], r["seq"], r["cursor"]) for r in receipts} == {
        ("same", 1, receipts[0]["cursor"])
    }


async def test_the_first_body_of_an_event_id_is_kept(relay: Relay) -> None:
    user = await relay.user()
    first = await user.posted(event_id="e", event_type="task_started", payload="first")
    again = await user.posted(event_id="e", event_type="log", payload="second")
    assert again == {**first, "duplicate": True}
    assert [event["payload"] for event in await stored(user)] == ["first"]


async def test_event_ids_are_scoped_to_their_user(relay: Relay) -> None:
    one, other = await relay.user(), await relay.user()
    await one.posted()
    mine, theirs = await one.posted(event_id="e"), await other.posted(event_id="e")
    assert (mine["seq"], mine["duplicate"]) == (2, False)
    assert (theirs["seq"], theirs["duplicate"]) == (1, False)
    assert mine["cursor"] != theirs["cursor"]


async def test_event_ids_are_shared_by_all_tokens_of_a_user(relay: Relay) -> None:
    user = await relay.user()
    other = (await user.token(scopes=["publish"]))["token"]
    assert (await user.posted(event_id="e"))["duplicate"] is False
    assert (await user.posted(event_id="e", hook=other))["duplicate"] is True


async def test_without_an_event_id_the_server_makes_a_uuid_7(relay: Relay) -> None:
    user = await relay.user()
    ids = [receipt["id"] for receipt in await user.publish(3)]
    assert [UUID(made).version for made in ids] == [7, 7, 7]
    assert ids == sorted(set(ids))
    assert [event["id"] for event in await stored(user)] == ids
