"""Reads the tasks of a user, page by page.

for task in relay.tasks(state="running"):
    print(task.title, task.progress)
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec

from relay.client.answers import CHECK_ADDRESS
from relay.client.api_client import ApiClient, ApiError
from relay.client.credentials import Credentials, find_any_credentials
from relay.client.stream_reader import ConnectionLost, StreamReader
from relay.client.task_board import TaskBoard
from relay.client.task_info import TaskInfo, read_task

PAGE_TASKS = 100  # in one answer: with the longest texts and metrics they take 3 MiB
# Of one reading, which is a million tasks: a Relay keeps 10 000 of a user, unless set otherwise.
MAX_PAGES = 10_000


class TaskFilter(msgspec.Struct, frozen=True):
    """Which tasks. A filter that is not given lets every task pass.

    `search` is a part of the title, in upper or lower case. `hidden`: the hidden ones instead.
    """

    states: tuple[str, ...] = ()
    parent_id: str | None = None
    task_ids: tuple[str, ...] = ()
    search: str | None = None
    hidden: bool = False

    def parameters(self) -> list[tuple[str, str]]:
        """The query of `GET /api/tasks`."""
        given = [("state", ",".join(self.states) if self.states else None)]
        given += [("task_id", task_id) for task_id in self.task_ids]
        given += [("parent_id", self.parent_id), ("q", self.search)]
        given += [("hidden", "true" if self.hidden else None)]
        return [(name, value) for name, value in given if value is not None]

    def matches(self, task: TaskInfo) -> bool:
        """Whether a task passes, as the server decides it."""
        return (
            (not self.states or task.state in self.states)
            and (self.parent_id is None or task.parent_id == self.parent_id)
            and (not self.task_ids or task.task_id in self.task_ids)
            and (self.search is None or self.search.lower() in (task.title or "").lower())
            and (bool(self.task_ids) or task.hidden == self.hidden)
        )


class TaskPage(msgspec.Struct):
    """A page of tasks. `counts` are of all tasks that are not hidden, `cursor` is where in the
    stream this holds, and `next` leads to the next page. `raw` has the tasks as Relay sent them."""

    tasks: list[TaskInfo]
    raw: list[dict[str, Any]]
    counts: dict[str, int]
    cursor: str
    next: str | None


class _Page(msgspec.Struct):
    tasks: list[dict[str, Any]]
    counts: dict[str, int]
    cursor: str
    next: str | None = None


def read_pages(api: ApiClient, wanted: TaskFilter, limit: int | None) -> Iterator[TaskPage]:
    """Pages of up to `limit` tasks in all, latest activity first.

    Raises `ApiError`, also for pages without tasks that lead on, and after MAX_PAGES.
    """
    after: str | None = None
    for _ in range(MAX_PAGES):
        count = PAGE_TASKS if limit is None else min(limit, PAGE_TASKS)
        page = _read_page(api, wanted, count, after)
        if page.next is not None and not (page.tasks and _leads_on(page.next, after)):
            raise _unexpected(api)
        yield page
        after, limit = page.next, None if limit is None else limit - len(page.tasks)
        if after is None or (limit is not None and limit <= 0):
            return
    text = f"{api.url} sends tasks without end: {MAX_PAGES} pages, and more. {CHECK_ADDRESS}."
    raise ApiError(text, status=200)


def _read_page(api: ApiClient, wanted: TaskFilter, limit: int, after: str | None) -> TaskPage:
    query = [*wanted.parameters(), ("limit", str(limit))]
    query += [] if after is None else [("after", after)]
    fields = api.call("GET", f"/api/tasks?{urlencode(query)}")
    try:
        page = msgspec.convert(fields, _Page)
        tasks = [read_task(task) for task in page.tasks]
    except msgspec.ValidationError as error:
        raise _unexpected(api) from error
    return TaskPage(tasks, page.tasks, page.counts, page.cursor, page.next)


def _leads_on(following: str, after: str | None) -> bool:
    """Whether `next` is older than that of the page before: a cache may answer with that page."""
    is_seq = following.isascii() and following.isdecimal() and len(following) <= 18
    return is_seq and (after is None or int(following) < int(after))


def _unexpected(api: ApiClient) -> ApiError:
    text = f"{api.url} is not a Relay: unexpected answer. {CHECK_ADDRESS}."
    return ApiError(text, status=200)


class Tasks:
    """Tasks of a user, latest activity first: an iterable, also for `async for`.

    Each iteration asks Relay anew, a page at a time. It raises `ApiError` if Relay refuses, or does
    not answer.
    """

    def __init__(self, credentials: Credentials, wanted: TaskFilter, limit: int | None) -> None:
        self._credentials = credentials
        self._wanted = wanted
        self._limit = limit

    def __iter__(self) -> Iterator[TaskInfo]:
        with ApiClient(self._credentials.url, self._credentials.token) as api:
            for page in read_pages(api, self._wanted, self._limit):
                yield from page.tasks

    async def __aiter__(self) -> AsyncIterator[TaskInfo]:
        """Read each page in a thread."""
        import anyio

        with ApiClient(self._credentials.url, self._credentials.token) as api:
            pages = read_pages(api, self._wanted, self._limit)
            while page := await anyio.to_thread.run_sync(next, pages, None):
                for task in page.tasks:
                    yield task

    def watch(self) -> Iterator[TaskInfo]:
        """Yield each task as it is, then each one that changes, without end.

        At first come those that are not over and the latest of the others. `limit` does not count,
        and hidden or forgotten tasks are left out. A connection that breaks is opened again. Raises
        `ApiError` if Relay refuses.
        """
        board = TaskBoard()
        for received in StreamReader(self._credentials, {}, with_tasks=True).read():
            if isinstance(received, ConnectionLost):
                continue
            for change in board.apply(received):
                if change.task is not None and self._wanted.matches(change.task):
                    yield change.task


def tasks(
    *,
    state: str | Iterable[str] = (),
    parent_id: str | None = None,
    task_id: str | Iterable[str] = (),
    search: str | None = None,
    hidden: bool = False,
    limit: int | None = None,
    url: str | None = None,
    token: str | None = None,
) -> Tasks:
    """The tasks of the credentials' user, those with the latest events first.

    `state` and `task_id` may be several, `search` is a part of the title, `hidden` finds the hidden
    tasks instead. `limit` bounds how many there are. Raises NoCredentials.
    """
    states = tuple(state.split(",")) if isinstance(state, str) else tuple(state)
    task_ids = (task_id,) if isinstance(task_id, str) else tuple(task_id)
    wanted = TaskFilter(states, parent_id, task_ids, search, hidden)
    return Tasks(find_any_credentials(url, token), wanted, limit)
