"""A person asks a task to stop, and its producer hears of it with its beat."""

from typing import Any

import httpx
import trio

from tests.support.problems import check
from tests.support.relay_server import Relay, User, bearer, calls_wait


async def beat(user: User, **fields: Any) -> list[str]:
    answer = await user.relay.http.post(
        "/api/tasks/beat", json={"task_ids": ["t"], **fields}, headers=bearer(await user.hook())
    )
    assert answer.status_code == 200, answer.text
    stop: list[str] = answer.json()["stop"]
    return stop


async def stop(user: User, task_id: str = "t", **fields: Any) -> Any:
    return await user.call("POST", "/api/tasks/stop", json={"task_id": task_id, **fields})


async def test_a_waiting_beat_is_answered_when_its_task_should_stop(relay: Relay) -> None:
    user = await relay.user()
    await user.posted(event_type="task_started", task_id="t", payload={"stoppable": True})
    assert await beat(user) == []
    heard: list[list[str]] = []

    async def wait() -> None:
        heard.append(await beat(user, wait_s=25))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await calls_wait(relay, 1)
        requested = await stop(user)
        assert requested.status_code == 202, requested.text
    assert heard == [["t"]]
    assert await beat(user, wait_s=25) == ["t"]  # at once, again and again
    again = await stop(user)
    assert (again.status_code, again.json()["stop_requested_at"]) == (
        202,
        requested.json()["stop_requested_at"],
    )
    assert requested.json()["stop_requested_at"] is not None


async def test_a_stop_belongs_to_its_run(relay: Relay) -> None:
    user = await relay.user()
    await user.posted(event_type="task_started", task_id="t", payload={"stoppable": True})
    assert (await stop(user)).status_code == 202
    assert await beat(user) == ["t"]
    await user.posted(event_type="task_started", task_id="t", payload={"stoppable": True})
    assert await beat(user) == []  # of its first beat on, whether the start is folded or not
    (task,) = (await user.call("GET", "/api/tasks")).json()["tasks"]
    assert (task["run"], task["stop_requested_at"]) == (2, None)
    check(await stop(user, run=1), 409, "not_stoppable")  # it was asked for before run 2 began
    assert await beat(user) == []
    assert (await stop(user, run=2)).status_code == 202


async def test_the_waiting_beat_of_a_token_ends_when_it_is_revoked(relay: Relay) -> None:
    user = await relay.user()
    token = await user.token()
    refused: list[httpx.Response] = []

    async def wait() -> None:
        body = {"task_ids": ["t"], "wait_s": 25}
        refused.append(
            await relay.http.post("/api/tasks/beat", json=body, headers=bearer(token["token"]))
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await calls_wait(relay, 1)
        await user.call("POST", "/api/token/revoke", json={"token_id": token["token_id"]})
    check(refused[0], 401, "invalid_token")


async def test_what_cannot_stop_is_refused(relay: Relay) -> None:
    user, stranger = await relay.user(), await relay.user()
    await user.posted(event_type="task_started", task_id="deaf", payload={})
    await user.posted(event_type="task_started", task_id="t", payload={"stoppable": True})
    check(await stop(stranger), 404, "not_found")
    check(await stop(user, "unknown"), 404, "not_found")
    check(await stop(user, "deaf"), 409, "not_stoppable")
    check(await stop(user, "a b"), 422, "invalid")
    await user.posted(event_type="task_succeeded", task_id="t", payload={})
    check(await stop(user), 409, "not_stoppable")
    by_hook = await relay.http.post(
        "/api/tasks/stop", json={"task_id": "t"}, headers=bearer(await user.hook())
    )
    check(by_hook, 403, "insufficient_scope")
