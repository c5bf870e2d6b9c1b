"""Large answers share one budget, and a slow reader's connection is reset to make room."""

from contextlib import AbstractContextManager
from typing import cast

import pytest

from relay.blueprints.events import MAX_PAGE_BYTES
from relay.observability import metrics
from relay.server.handle import ConnectionHandle
from relay.web.answer_budget import AnswerBudget
from tests.support.client.protocol import head
from tests.support.patience import eventually
from tests.support.relay_server import raw_http, running_relay

TEXT = "x" * 60_000
EVENTS = MAX_PAGE_BYTES // len(TEXT) + 1  # a page of the most bytes, which no socket takes at once


class Handle:
    """What the budget uses of a connection."""

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_of_the_client_with_the_most_bytes_the_answer_that_began_first_makes_room() -> None:
    budget = AnswerBudget(max_bytes=12)
    modest, first, second, newest = Handle(), Handle(), Handle(), Handle()

    def sending(handle: Handle, client: str, size: int) -> AbstractContextManager[None]:
        return budget.sending(cast("ConnectionHandle", handle), client, size)

    with sending(modest, "modest", 5), sending(first, "greedy", 4), sending(second, "greedy", 3):
        assert not first.aborted
        with sending(newest, "other", 4):
            assert [one.aborted for one in (modest, first, second, newest)] == [
                *(False, True, False, False)
            ]
    with sending(newest, "other", 12):  # all of it was given back, and once
        assert not newest.aborted


async def test_pages_that_are_not_read_make_room_for_one_that_is(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = AnswerBudget(MAX_PAGE_BYTES + MAX_PAGE_BYTES // 2)
    monkeypatch.setattr("relay.app.AnswerBudget", lambda: budget)
    before = metrics.answers_displaced._value.get()
    async with running_relay(database_url) as relay, raw_http(relay) as slow:
        user = await relay.user()
        for _ in range(EVENTS):
            await user.posted(payload={"text": TEXT})
        asked = f"Authorization: Bearer {user.session}"
        await slow.send(head("/api/events?limit=1000", asked, method="GET"))
        await eventually(lambda: len(budget._sent) == 1)
        page = await user.call("GET", "/api/events?limit=1000")
        assert len(page.content) > MAX_PAGE_BYTES
        assert len(await slow.rest()) < len(page.content)
        await eventually(lambda: not budget._sent)
    assert metrics.answers_displaced._value.get() == before + 1
