"""Pages of tasks as other programs answer them: a Relay's, or an error that says so."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from relay.client import task_query
from relay.client.api_client import ApiClient, ApiError
from relay.client.task_info import read_task
from relay.client.task_query import TaskFilter, read_pages
from tests.support.task_infos import NOW, task_info


def answered(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any]) -> Iterator[list[str]]:
    """The ids of each page, as these answers give them; the last one is given again and again."""
    waiting = list(answers)

    def call(_api: ApiClient, _method: str, _path: str, _body: object = None) -> dict[str, Any]:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    monkeypatch.setattr(ApiClient, "call", call)
    with ApiClient("http://127.0.0.1:9") as api:
        for page in read_pages(api, TaskFilter(), None):
            yield [task.task_id for task in page.tasks]


def answer(task_id: str, **more: Any) -> dict[str, Any]:
    fields = msgspec.to_builtins(task_info(task_id=task_id))
    return {"tasks": [fields], "counts": {"running": 1}, "cursor": "e.5", **more}


def test_pages_end_where_none_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = answered(monkeypatch, answer("a", next="9"), answer("b", next="7"), answer("c"))
    assert list(pages) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("following", ["9", "10", "-1", "x", "1" * 19, "\u0661"])
def test_a_next_page_that_leads_nowhere_ends_the_reading(
    following: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that passes over the query would give the first page for ever."""
    pages = answered(monkeypatch, answer("a", next="9"), answer("b", next=following))
    assert next(pages) == ["a"]
    with pytest.raises(ApiError, match="not a Relay"):
        next(pages)


def test_a_page_that_leads_on_has_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = answered(monkeypatch, answer("a", next="9"), answer("b", next="8") | {"tasks": []})
    assert next(pages) == ["a"]
    with pytest.raises(ApiError, match="not a Relay"):
        next(pages)


def test_pages_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leads to an older one, and none to the last."""
    monkeypatch.setattr(task_query, "MAX_PAGES", 5)
    endless = (answer("a", next=str(10**17 - number)) for number in range(99))
    pages = answered(monkeypatch, *endless)
    assert [next(pages) for _ in range(5)] == [["a"]] * 5
    with pytest.raises(ApiError, match="without end: 5 pages"):
        next(pages)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_that_some_zone_cannot_show_is_of_no_task(moment: str) -> None:
    fields = msgspec.to_builtins(task_info(last_at=NOW + timedelta(days=1)))
    assert read_task(fields).last_at == NOW + timedelta(days=1)
    for name in ("started_at", "last_at", "ended_at", "stop_requested_at"):
        with pytest.raises(msgspec.ValidationError):
            read_task({**fields, name: moment})
