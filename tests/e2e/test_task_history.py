"""The stored events of one task, by page, and a run's log as a download."""

import json
from typing import Any

import pytest
import trio

from relay.db.pool import connect
from tests.support.databases import begin, trim
from tests.support.patience import LOOK_EVERY, PATIENCE
from tests.support.problems import check
from tests.support.relay_server import Relay, User, bearer


async def events(user: User, query: str) -> list[dict[str, Any]]:
    """All events that pages give, until the cursor stays."""
    found: list[dict[str, Any]] = []
    cursor = "oldest"
    while True:
        answer = await user.call("GET", f"/api/events?{query}&after={cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["events"]
        if page["cursor"] == cursor:
            return found
        cursor = page["cursor"]


async def test_the_events_of_one_task_are_read_past_those_of_others(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    for number in range(6):
        await user.posted(task_id=f"t{number % 2}", payload={"n": number})
        await other.posted(task_id="t0")
    await user.posted(payload={"n": "no task"})
    await user.posted(event_type="task_started", payload={"title": "make"})
    found = await events(user, "task_id=t1&limit=2")
    assert [event["payload"]["n"] for event in found] == [1, 3, 5]
    assert await events(user, "task_id=none") == []
    (untitled,) = await events(user, "task_id=untitled-d05aa2a15fb3c40e")
    assert untitled["payload"] == {"title": "make"}
    check(await user.call("GET", "/api/events?task_id=a%20b"), 400)


async def test_a_page_ends_after_so_many_payloads_were_read(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.db.task_history.SCANNED_EVENTS", 2)
    monkeypatch.setattr("relay.db.task_history.MAX_PARSED_BYTES", 100)
    monkeypatch.setattr("relay.db.task_history.PARSED_BYTES", 10)
    user = await relay.user()
    for title in ("other", "other" * 30, "make", "other", "make"):
        await user.posted(event_type="task_progress", payload={"title": title})
    query = "/api/events?task_id=untitled-d05aa2a15fb3c40e"
    page = (await user.call("GET", f"{query}&after=oldest")).json()
    assert (page["events"], page["cursor"].endswith(".2")) == ([], True)
    page = (await user.call("GET", f"{query}&after={page['cursor']}")).json()
    assert ([event["seq"] for event in page["events"]], page["cursor"][-2:]) == ([3], ".4")
    assert len(await events(user, "task_id=untitled-d05aa2a15fb3c40e")) == 2


async def log(user: User, query: str) -> str:
    answer = await user.call("GET", f"/api/tasks/log?{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def run(user: User, *messages: str) -> None:
    await user.posted(event_type="task_started", task_id="a/b", payload={"title": "T"})
    for message in messages:
        await user.posted(task_id="a/b", payload={"message": message})
        await user.posted(task_id="other", payload={"message": "of another task"})
    await user.posted(event_type="task_succeeded", task_id="a/b")


async def test_the_log_of_each_run_is_downloaded_as_it_was_printed(relay: Relay) -> None:
    user = await relay.user()
    await run(user, "first run")
    await run(user, "one\ntwo", "three\n", "\u001b[31mred\u001b[0m")
    assert await log(user, "task_id=a%2Fb") == "one\ntwo\nthree\n\u001b[31mred\u001b[0m\n"
    assert await log(user, "task_id=a%2Fb&run=1") == "first run\n"
    lines = [
        json.loads(line) for line in (await log(user, "task_id=a/b&format=ndjson")).split("\n")[:-1]
    ]
    assert [event["event_type"] for event in lines] == [
        *("task_started", "log", "log", "log", "task_succeeded")
    ]
    answer = await user.call("GET", "/api/tasks/log?task_id=a/b")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a_b-2.log"'
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_of_a_trimmed_run_the_rest_is_downloaded(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    await run(user, "one", "two", "three")
    assert await log(user, "task_id=a/b") == "one\ntwo\nthree\n"
    await trim(database_url, user, 4)
    assert await log(user, "task_id=a/b") == "two\nthree\n"
    await trim(database_url, user, 9)
    check(await user.call("GET", "/api/tasks/log?task_id=a/b"), 404)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        *(("", 400), ("task_id=a/b&format=xml", 400), ("task_id=a/b&run=0", 400)),
        *(("task_id=none", 404), ("task_id=a/b&run=2", 404), ("task_id=a/b&colour=1", 400)),
    ],
)
async def test_a_log_that_is_not_there_is_refused(relay: Relay, query: str, status: int) -> None:
    user = await relay.user()
    await run(user, "x")
    check(await user.call("GET", f"/api/tasks/log?{query}"), status)


async def test_one_user_downloads_two_logs_at_a_time(relay: Relay) -> None:
    user = await relay.user()
    await run(user, *["x" * 60_000] * 40)
    path, headers = "/api/tasks/log?task_id=a/b", bearer(user.session)
    async with (
        relay.http.stream("GET", path, headers=headers) as first,
        relay.http.stream("GET", path, headers=headers) as second,
    ):
        assert first.status_code == second.status_code == 200
        check(await user.call("GET", path), 429)
        assert (await relay.http.get(path, headers=bearer((await relay.user()).session))).is_error
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.aread)
            nursery.start_soon(second.aread)
    assert len(await log(user, "task_id=a/b")) == 40 * 60_001


async def test_a_run_that_is_still_looked_for_takes_a_place(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    await run(user, "one")
    await run(user, "two")
    assert await log(user, "task_id=a/b&run=1") == "one\n"
    found: list[int] = []

    async def ask() -> None:
        answer = await user.call("GET", "/api/tasks/log?task_id=a/b&run=1")
        found.append(answer.status_code)

    async with connect(database_url, timeout=PATIENCE) as holder, trio.open_nursery() as nursery:
        await begin(holder, "LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        for _ in range(3):
            nursery.start_soon(ask)
        with trio.fail_after(PATIENCE):
            while not found:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
        await holder.execute("ROLLBACK")
    assert found == [429, 200, 200]
