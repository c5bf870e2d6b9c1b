"""Streams with `tasks=1`: a snapshot of the tasks, then each that changes."""

from typing import Any

import pytest

from tests.support.client.streams import Stream
from tests.support.databases import statement
from tests.support.problems import check
from tests.support.relay_server import Relay, User, open_stream

LEASE = 600  # seconds: none ends by itself within a test
BOTH = pytest.mark.parametrize("transport", ["websocket", "sse"])


async def started(user: User, task_id: str, **payload: Any) -> dict[str, Any]:
    return await user.posted(event_type="task_started", task_id=task_id, payload=payload)


async def snapshot(stream: Stream) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The last `tasks` control of a snapshot, and the tasks of all of them."""
    tasks: list[dict[str, Any]] = []
    while True:
        message = await stream.control("tasks")
        tasks += message["tasks"]
        if not message["more"]:
            return message, tasks


async def changed(stream: Stream, task_id: str) -> dict[str, Any]:
    """The next change of a task; events and other tasks are passed over."""
    while True:
        message = await stream.next()
        if message.get("type") == "task":
            task = message.get("task", message)
            if task["task_id"] == task_id:
                return dict(task)


@BOTH
async def test_a_stream_begins_with_the_tasks_and_goes_on_with_changes(
    relay: Relay, transport: str
) -> None:
    user = await relay.user()
    await started(user, "one", title="first")
    receipt = await user.posted(event_type="task_failed", task_id="two", payload={"exit_code": 2})
    async with open_stream(relay, transport, user.session, "?tasks=1") as stream:
        hello = await stream.hello()
        message, tasks = await snapshot(stream)
        assert hello["cursor"] == message["cursor"] == receipt["cursor"]
        assert message["counts"] == {"running": 1, "failed": 1}
        assert [(task["task_id"], task["state"]) for task in tasks] == [
            ("two", "failed"),
            ("one", "running"),
        ]
        await user.posted(event_type="task_succeeded", task_id="one", payload={"exit_code": 0})
        (event,) = await stream.events(1)
        assert (event["event_type"], event["seq"]) == ("task_succeeded", 3)
        task = await changed(stream, "one")
        assert (task["state"], task["exit_code"], task["title"]) == ("succeeded", 0, "first")


@BOTH
async def test_a_stream_from_a_cursor_has_its_events_beside_the_present_tasks(
    relay: Relay, transport: str
) -> None:
    user = await relay.user()
    for number in range(3):
        await started(user, f"t{number}")
    async with open_stream(relay, transport, user.session, "?tasks=1&after=oldest") as stream:
        assert (await stream.hello())["cursor"].endswith(".0")
        message, tasks = await snapshot(stream)
        assert message["cursor"].endswith(".3")
        assert len(tasks) == 3
        assert [event["seq"] for event in await stream.events(3)] == [1, 2, 3]


async def test_a_stream_that_does_not_ask_gets_no_tasks(relay: Relay) -> None:
    user = await relay.user()
    await started(user, "one")
    async with user.websocket() as plain, user.websocket("?tasks=1") as asking:
        await plain.hello()
        await asking.hello()
        await snapshot(asking)
        await started(user, "two")
        await changed(asking, "two")
        await user.posted(task_id="two")
        assert [(await plain.next())["event_type"] for _ in range(2)] == ["task_started", "log"]
    check(await user.call("GET", "/api/sse?tasks=yes"), 400)
    assert (await user.call("HEAD", "/api/sse?tasks=yes")).status_code == 400
    assert (await user.call("HEAD", "/api/sse?tasks=1")).status_code == 200


async def test_hidden_forgotten_lost_and_found_tasks_are_sent(
    relay: Relay, database_url: str
) -> None:
    user, other = await relay.user(), await relay.user()
    for task_id in ("hidden", "gone", "silent"):
        await started(user, task_id, lease_s=LEASE)
    async with user.websocket("?tasks=1") as stream, other.websocket("?tasks=1") as foreign:
        await stream.hello()
        await foreign.hello()
        assert (await snapshot(foreign))[1] == []
        await snapshot(stream)
        hide = {"task_ids": ["hidden"], "hidden": True}
        await user.call("PATCH", "/api/tasks", json=hide)
        assert (await changed(stream, "hidden"))["hidden"] is True
        await user.call("DELETE", "/api/tasks?task_id=gone")
        assert await changed(stream, "gone") == {
            **{"type": "task", "task_id": "gone", "deleted": True}
        }
        await statement(
            database_url,
            f"UPDATE tasks SET last_at = now() - interval '{LEASE - 1.5} seconds'"
            " WHERE task_id = 'silent'",
        )
        assert (await changed(stream, "silent"))["state"] == "lost"
        await user.posted(task_id="silent")
        assert (await changed(stream, "silent"))["state"] == "running"
        await started(other, "theirs")
        assert (await changed(foreign, "theirs"))["state"] == "running"


async def test_a_large_snapshot_comes_in_parts(relay: Relay) -> None:
    user = await relay.user()
    metrics = {f"{number:02}" + "m" * 90: 0.5 for number in range(32)}
    for number in range(100):
        await started(user, f"t{number}", title="x" * 300, metrics=metrics)
    async with user.websocket("?tasks=1") as stream:
        await stream.hello()
        first = await stream.control("tasks")
        assert first["more"] is True
        _, rest = await snapshot(stream)
        seen = [task["task_id"] for task in [*first["tasks"], *rest]]
        assert seen == [f"t{number}" for number in reversed(range(100))]
