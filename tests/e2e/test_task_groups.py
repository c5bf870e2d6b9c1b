"""Tasks in groups: of one title, or a parent with its children, with their latest outcomes."""

from typing import Any

import pytest

from tests.support.problems import check
from tests.support.relay_server import Relay, User


async def groups(user: User, query: str) -> dict[str, Any]:
    answer = await user.call("GET", f"/api/tasks/groups?{query}")
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def ran(user: User, task_id: str, end: str | None = "task_succeeded", **payload: Any) -> None:
    await user.posted(event_type="task_started", task_id=task_id, payload=payload)
    if end is not None:
        await user.posted(event_type=end, task_id=task_id, payload={"duration_s": 60})


async def test_tasks_of_one_title_are_a_group_with_the_latest_outcomes(relay: Relay) -> None:
    user, other = await relay.user(), await relay.user()
    for number in range(23):
        end = "task_failed" if number == 21 else "task_succeeded"
        await ran(user, f"nightly-{number}", end, title="nightly")
    await ran(user, "one", title="make test")
    await ran(user, "bare")
    await ran(user, "bare-too")
    await ran(user, "nightly-now", None, title="nightly")
    await ran(other, "theirs", title="nightly")

    page = await groups(user, "by=title")
    found = [(one["title"], one["parent_id"], one["tasks"]) for one in page["groups"]]
    assert found == [
        *[("nightly", None, 24), (None, None, 1), (None, None, 1), ("make test", None, 1)]
    ]
    assert page["counts"] == {"running": 1, "failed": 1, "succeeded": 25}
    nightly = page["groups"][0]
    assert nightly["task"]["task_id"] == "nightly-now"
    assert nightly["last_seq"] == nightly["task"]["last_seq"]
    assert nightly["recent"][:4] == [
        {"task_id": "nightly-now", "run": 1, "state": "running", "duration_s": None},
        {"task_id": "nightly-22", "run": 1, "state": "succeeded", "duration_s": 60},
        {"task_id": "nightly-21", "run": 1, "state": "failed", "duration_s": 60},
        {"task_id": "nightly-20", "run": 1, "state": "succeeded", "duration_s": 60},
    ]
    assert len(nightly["recent"]) == 20

    failed = (await groups(user, "by=title&state=failed"))["groups"]
    assert [(one["title"], one["tasks"]) for one in failed] == [("nightly", 1)]
    assert [one["title"] for one in (await groups(user, "by=title&q=TEST"))["groups"]] == [
        "make test"
    ]
    exact = await user.call("GET", "/api/tasks?title=nightly&limit=500")
    assert len(exact.json()["tasks"]) == 24
    assert (await user.call("GET", "/api/tasks?title=night")).json()["tasks"] == []


async def test_a_parent_and_its_children_are_a_group(relay: Relay) -> None:
    user = await relay.user()
    await ran(user, "parent", None, title="Release")
    await ran(user, "a", parent_id="parent", title="build")
    await ran(user, "b", "task_failed", parent_id="parent", title="upload")
    await ran(user, "alone", title="build")
    await ran(user, "orphan", parent_id="of-no-task")
    await ran(user, "grandchild", parent_id="a")
    shown = [
        (one["parent_id"], one["task"]["task_id"], [task["task_id"] for task in one["recent"]])
        for one in (await groups(user, "by=parent"))["groups"]
    ]
    assert shown == [
        ("a", "grandchild", ["grandchild"]),
        ("of-no-task", "orphan", ["orphan"]),
        (None, "alone", ["alone"]),
        ("parent", "parent", ["b", "a", "parent"]),
    ]


async def test_pages_of_groups_miss_none_and_hidden_tasks_count_apart(relay: Relay) -> None:
    user = await relay.user()
    for number in range(10):
        await ran(user, f"t{number}", None, title=f"title {number % 5}")
    seen: list[str] = []
    page = await groups(user, "by=title&limit=2")
    while True:
        seen += [group["title"] for group in page["groups"]]
        if "next" not in page:
            break
        page = await groups(user, f"by=title&limit=2&after={page['next']}")
    assert seen == [f"title {number}" for number in (4, 3, 2, 1, 0)]
    await user.call("PATCH", "/api/tasks", json={"task_ids": ["t4", "t8", "t9"], "hidden": True})
    first = (await groups(user, "by=title"))["groups"][0]
    assert (first["title"], first["tasks"]) == ("title 2", 2)
    hidden = (await groups(user, "by=title&hidden=true"))["groups"]
    assert [(group["title"], group["tasks"]) for group in hidden] == [
        ("title 4", 2),
        ("title 3", 1),
    ]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "`by`"),
        ("by=state", "`by`"),
        ("by=title&limit=101", "`limit`"),
        ("by=title&parent_id=a", "`parent_id`"),
        ("by=title&state=done", "`state`"),
        (f"by=title&q={'x' * 301}", "`q`"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused_by_name(
    relay: Relay, query: str, named: str
) -> None:
    user = await relay.user()
    answer = await user.call("GET", f"/api/tasks/groups?{query}")
    problem = check(answer, 400)
    assert (problem["code"], named in problem["detail"]) == ("bad_request", True)
