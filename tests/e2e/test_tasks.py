"""Tasks as state: what events make of them, found by filters, hidden, forgotten, kept alive."""

from typing import Any

import httpx
import pytest
import trio

from tests.support.databases import statement
from tests.support.problems import check
from tests.support.relay_server import Relay, User, bearer, calls_wait, running_relay


async def tasks(user: User, query: str = "") -> dict[str, Any]:
    answer = await user.call("GET", f"/api/tasks{query}")
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def ids(user: User, query: str = "") -> list[str]:
    return [task["task_id"] for task in (await tasks(user, query))["tasks"]]


async def started(user: User, *task_ids: str, **payload: Any) -> None:
    for task_id in task_ids:
        await user.posted(event_type="task_started", task_id=task_id, payload=payload)


async def test_events_are_a_task_as_soon_as_they_are_acknowledged(relay: Relay) -> None:
    user, other, task_id = await relay.user(), await relay.user(), "a+b&c#%"
    await user.posted(
        event_type="task_started", task_id=task_id, payload={"title": "T", "lease_s": 90}
    )
    await user.posted(task_id=task_id, payload={"message": "one\ntwo\n"})
    receipt = await user.posted(
        event_type="task_progress", task_id=task_id, payload={"progress": 0.5, "metrics": {"x": 1}}
    )
    page = await tasks(user)
    assert (page["cursor"], page["counts"]) == (receipt["cursor"], {"running": 1})
    (task,) = page["tasks"]
    expected = {
        **{"task_id": task_id, "run": 1, "state": "running", "title": "T", "message": "two"},
        **{"progress": 0.5, "metrics": {"x": 1}, "lease_s": 90, "events": 3, "first_seq": 1},
        **{"last_seq": 3, "hidden": False, "stoppable": False, "ended_at": None, "exit_code": None},
        **{"parent_id": None, "url": None, "ask_id": None, "stop_requested_at": None},
        **{"lost_at": None},
    }
    assert {name: task[name] for name in expected} == expected
    assert await ids(user, "?task_id=a%2Bb%26c%23%25") == [task_id]
    assert (await tasks(other))["tasks"] == []


async def test_pages_begin_with_the_latest_activity_and_miss_no_task(relay: Relay) -> None:
    user = await relay.user()
    await started(user, *(f"t{number}" for number in range(7)))
    await user.posted(task_id="t2", payload={"message": "alive"})
    seen: list[str] = []
    page = await tasks(user, "?limit=3")
    while True:
        seen += [task["task_id"] for task in page["tasks"]]
        if "next" not in page:
            break
        page = await tasks(user, f"?limit=3&after={page['next']}")
    assert seen == ["t2", "t6", "t5", "t4", "t3", "t1", "t0"]


async def test_filters_narrow_the_tasks_and_not_the_counts(relay: Relay) -> None:
    user = await relay.user()
    await started(user, "parent", title="Nightly ÄRGER")
    await started(user, "one", "two", parent_id="parent", title="make test")
    await user.posted(event_type="task_succeeded", task_id="one")
    await user.posted(event_type="task_failed", task_id="two", payload={"canceled": True})
    assert await ids(user, "?state=running") == ["parent"]
    assert await ids(user, "?state=succeeded,canceled") == ["two", "one"]
    assert await ids(user, "?parent_id=parent") == ["two", "one"]
    assert await ids(user, "?q=ärg") == ["parent"]
    assert await ids(user, "?q=%25") == []
    assert await ids(user, "?task_id=one&task_id=parent&task_id=none") == ["one", "parent"]
    counts = (await tasks(user, "?q=none"))["counts"]
    assert counts == {"running": 1, "succeeded": 1, "canceled": 1}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?colour=red", "colour"),
        ("?state=broken", "state"),
        ("?state=running,", "state"),
        ("?limit=501", "limit"),
        ("?limit=0", "limit"),
        ("?after=x", "after"),
        ("?hidden=maybe", "hidden"),
        ("?q=" + "x" * 301, "q"),
        ("?" + "&".join(["task_id=x"] * 101), "task_id"),
        ("?parent_id=a&parent_id=b", "parent_id"),
    ],
)
async def test_a_filter_that_is_none_is_refused_by_name(
    relay: Relay, query: str, named: str
) -> None:
    user = await relay.user()
    problem = check(await user.call("GET", f"/api/tasks{query}"), 400)
    assert f"`{named}`" in problem["detail"]


async def test_an_id_that_no_task_can_have_is_refused(relay: Relay) -> None:
    user = await relay.user()
    await started(user, "one", title="x")
    for query in ("task_id=%00", "task_id=a%20b", "parent_id=%ff"):
        check(await user.call("GET", f"/api/tasks?{query}"), 400)
    check(await user.call("DELETE", "/api/tasks?task_id=%00"), 400)
    assert await ids(user, "?q=%00") == await ids(user, "?q=%ff") == []


async def test_a_hidden_task_is_left_out_until_it_is_shown_again(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    await started(user, "one", "two")
    await started(other, "one")
    assert await ids(user) == ["two", "one"]
    hide = {"task_ids": ["one", "none"], "hidden": True}
    answer = await user.call("PATCH", "/api/tasks", json=hide)
    assert answer.json() == {"task_ids": ["one"], "hidden": True, "ok": True}
    assert await ids(user) == ["two"]
    assert await ids(user, "?hidden=true") == await ids(user, "?task_id=one") == ["one"]
    assert (await tasks(user))["counts"] == {"running": 1}
    assert await ids(other) == ["one"]
    await user.call("PATCH", "/api/tasks", json={**hide, "hidden": False})
    assert await ids(user) == ["two", "one"]


async def test_a_forgotten_task_comes_back_with_its_next_start_only(relay: Relay) -> None:
    user = await relay.user()
    await started(user, "one", title="first")
    assert (await user.call("DELETE", "/api/tasks?task_id=one")).json() == {"deleted": 1}
    assert (await user.call("DELETE", "/api/tasks?task_id=one")).json() == {"deleted": 0}
    await user.posted(task_id="one", payload={"message": "late"})
    await user.posted(event_type="task_progress", task_id="one", payload={"progress": 0.5})
    assert await ids(user) == []
    await started(user, "one")
    (task,) = (await tasks(user))["tasks"]
    assert (task["run"], task["title"], task["events"]) == (2, None, 1)
    assert len((await user.call("GET", "/api/events")).json()["events"]) == 4


async def test_all_that_ended_are_forgotten_at_once(relay: Relay) -> None:
    user = await relay.user()
    await started(user, "running", "good", "bad")
    await user.posted(event_type="task_succeeded", task_id="good")
    await user.posted(event_type="task_failed", task_id="bad")
    assert (await user.call("DELETE", "/api/tasks?state=ended")).json() == {"deleted": 2}
    assert await ids(user) == ["running"]
    for query in ("", "?state=running", "?task_id=a&state=ended", "?x=1"):
        check(await user.call("DELETE", f"/api/tasks{query}"), 400)


async def test_people_and_producers_change_what_is_theirs(relay: Relay) -> None:
    user = await relay.user()
    hook, watch = await user.hook(), (await user.token(scopes=["watch"]))["token"]
    http, beat = relay.http, {"task_ids": ["one"]}
    hide = {**beat, "hidden": True}
    assert (await http.get("/api/tasks", headers=bearer(watch))).status_code == 200
    check(await http.get("/api/tasks"), 401)
    check(await http.patch("/api/tasks", json=hide, headers=bearer(hook)), 403)
    check(await http.delete("/api/tasks?state=ended", headers=bearer(hook)), 403)
    check(await http.post("/api/tasks/beat", json=beat, headers=bearer(watch)), 403)
    check(await http.post("/api/tasks/beat", json=beat, headers=bearer(user.session)), 403)


async def test_a_beat_stores_no_event_and_ignores_unknown_tasks(relay: Relay) -> None:
    user = await relay.user()
    await started(user, "one", lease_s=10)
    before = (await tasks(user))["cursor"]
    answer = await relay.http.post(
        "/api/tasks/beat",
        json={"task_ids": ["one", "none", "one"]},
        headers=bearer(await user.hook()),
    )
    assert (answer.status_code, answer.json()) == (200, {"stop": []})
    assert (await tasks(user))["cursor"] == before


@pytest.mark.parametrize(
    "body", [{}, {"task_ids": []}, {"task_ids": ["a b"]}, {"task_ids": ["x"] * 101}, {"x": 1}]
)
async def test_a_beat_without_valid_tasks_is_refused(relay: Relay, body: dict[str, Any]) -> None:
    user = await relay.user()
    headers = bearer(await user.hook())
    check(await relay.http.post("/api/tasks/beat", json=body, headers=headers), 422)


async def test_wrong_types_in_well_known_keys_never_stop_a_task(relay: Relay) -> None:
    user = await relay.user()
    texts = [
        '{"title":"a\\u0000b","progress":1e400,"metrics":{"x":1e999,"y":2}}',
        '{"title":"x","title":"y","exit_code":' + "9" * 5000 + "}",
        '{"message":{"deep":[[[[]]]]},"lease_s":"90"}',
    ]
    for text in texts:
        body = (
            '{"event_type":"task_progress","task_id":"odd","ts":"2026-01-31T12:00:00Z",'
            f'"payload":{text}}}'
        )
        answer = await relay.http.post(
            "/api/webhook/cli",
            content=body,
            headers={**bearer(await user.hook()), "Content-Type": "application/json"},
        )
        assert answer.status_code == 200
    (task,) = (await tasks(user))["tasks"]
    assert (task["title"], task["progress"], task["metrics"]) == ("y", None, {"y": 2})
    assert task["events"] == 3


async def test_a_silent_task_is_lost_until_an_event_or_a_beat(
    relay: Relay, database_url: str
) -> None:
    user = await relay.user()
    await started(user, "beats", "reports", lease_s=600)
    await started(user, "no-lease")
    assert [task["state"] for task in (await tasks(user))["tasks"]] == ["running"] * 3
    await age(database_url, seconds=601)
    page = await tasks(user)
    states = {task["task_id"]: task["state"] for task in page["tasks"]}
    assert states == {"beats": "lost", "reports": "lost", "no-lease": "running"}
    assert page["counts"] == {"lost": 2, "running": 1}
    assert await ids(user, "?state=lost") == ["reports", "beats"]
    beat = {"task_ids": ["beats"]}
    headers = bearer(await user.hook())
    assert (await relay.http.post("/api/tasks/beat", json=beat, headers=headers)).is_success
    await user.posted(task_id="reports")
    assert (await tasks(user))["counts"] == {"running": 3}


async def test_a_beat_that_waits_holds_the_lease_and_counts_as_a_stream(
    database_url: str,
) -> None:
    async with running_relay(database_url, RELAY_MAX_CONNECTIONS_PER_USER="1") as relay:
        user = await relay.user()
        await started(user, "one", lease_s=10)
        headers, beat = bearer(await user.hook()), {"task_ids": ["one"], "wait_s": 25}
        answers: list[httpx.Response] = []

        async def wait() -> None:
            answers.append(await relay.http.post("/api/tasks/beat", json=beat, headers=headers))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await calls_wait(relay, 1)
            check(await user.call("GET", "/api/sse"), 429)
            check(await relay.http.post("/api/tasks/beat", json=beat, headers=headers), 429)
            assert (await tasks(user))["tasks"]
            await statement(database_url, "UPDATE tasks SET last_at = now() - interval '1 hour'")
            assert (await tasks(user))["counts"] == {"running": 1}
            assert answers == []
            nursery.cancel_scope.cancel()


async def test_an_outage_counts_to_no_lease(relay: Relay, database_url: str) -> None:
    user = await relay.user()
    await started(user, "one", lease_s=600)
    assert (await tasks(user))["counts"] == {"running": 1}
    await age(database_url, seconds=100 * 60)
    assert (await tasks(user))["counts"] == {"lost": 1}
    outage = "INSERT INTO outages VALUES (now() - interval '{} min', now() - interval '{} min')"
    await statement(database_url, outage.format(300, 65))
    await statement(database_url, outage.format(55, 5))
    # silent for 100 min, of which 35 and 50 in outages: for 15 min of a lease of 10 min
    assert (await tasks(user))["counts"] == {"lost": 1}
    await statement(database_url, outage.format(65, 55))
    assert (await tasks(user))["counts"] == {"running": 1}


async def age(database_url: str, *, seconds: float) -> None:
    """Make every task's last sign of life older."""
    await statement(
        database_url,
        f"""
        UPDATE tasks SET last_at = last_at - interval '{seconds} seconds',
            beat_at = beat_at - interval '{seconds} seconds'
        """,
    )
