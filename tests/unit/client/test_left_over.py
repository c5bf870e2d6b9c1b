"""Which left-over file may be sent, and what has to wait for it."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from relay.client.left_over import HELD_SECONDS, LeftOver
from relay.client.spool import Owner, Spool, adopt, new_spool

OWNER = Owner("http://relay.test", "user")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def event(task_id: str | None) -> bytes:
    named = {} if task_id is None else {"task_id": task_id}
    return msgspec.json.encode({"event_type": "log", **named, "payload": {"task_id": "x"}}) + b"\n"


def left(folder: Path, *tasks: Sequence[str | None], owner: Owner = OWNER) -> list[Path]:
    """A file for each of these, with an event of each of its tasks."""
    paths = []
    for named in tasks:
        spool = new_spool(owner, folder)
        for task in named:
            spool.add(event(task))
        spool.close()
        paths.append(spool.path)
    return paths


def held(path: Path) -> Spool:
    """As by another process."""
    spool = adopt(path, OWNER)
    assert spool is not None
    return spool


def opened(left_over: LeftOver, before: str | None = None) -> Path | None:
    spool = left_over.file() if before is None else left_over.file(event(before))
    return None if spool is None else spool.path


def deliver(left_over: LeftOver) -> None:
    """Deliver the file whose turn it is."""
    spool = left_over.file()
    assert spool is not None
    spool.drop(spool.head(1_000, 2**20))
    left_over.finish()


@pytest.mark.parametrize("named", ["a", None])
def test_events_wait_for_those_of_their_task_alone(tmp_path: Path, named: str | None) -> None:
    left(tmp_path, [named])
    left(tmp_path, ["b"], owner=Owner(OWNER.url, "another"))
    left_over = LeftOver(OWNER, tmp_path)
    others, waiting = [event("b"), event("x")], [event(named), event("b")]
    assert left_over.sendable(others + waiting) == others
    assert (left_over.comes_before(others[0]), left_over.comes_before(waiting[0])) == (False, True)
    deliver(left_over)
    assert left_over.sendable(others + waiting) == others + waiting
    assert left_over.file() is None


def test_what_comes_before_an_event_is_opened_in_its_order_and_nothing_else(tmp_path: Path) -> None:
    first, _, second, _ = left(tmp_path, ["a", "b"], ["c"], ["b", "d"], ["c"])
    left_over = LeftOver(OWNER, tmp_path)
    for path in (first, second):  # the first names a task of the second
        assert opened(left_over, before="d") == path
        left_over.finish()
    assert opened(left_over, before="d") is None


def test_a_file_is_another_processs_once_it_is_released(tmp_path: Path) -> None:
    (path,) = left(tmp_path, ["a"])
    left_over = LeftOver(OWNER, tmp_path)
    assert opened(left_over) == path
    with pytest.raises(BlockingIOError):
        adopt(path, OWNER)
    left_over.release()
    held(path).close()
    assert opened(left_over) == path
    left_over.release()


def test_nothing_passes_an_older_file_of_its_tasks_that_another_process_sends(
    tmp_path: Path,
) -> None:
    oldest, _, other, _ = left(tmp_path, ["a"], ["a", "b"], ["c"], ["b"])
    left_over = LeftOver(OWNER, tmp_path)
    spool = held(oldest)
    assert opened(left_over) == other
    left_over.finish()
    assert (opened(left_over), opened(left_over, before="b")) == (None, None)
    assert left_over.comes_before(event("b"))
    spool.drop([event("a")])
    spool.close()
    deliver(left_over)
    deliver(left_over)
    assert not left_over.comes_before(event("b"))


def test_a_file_is_waited_for_as_long_as_it_is_delivered(tmp_path: Path) -> None:
    (path,) = left(tmp_path, ["a"] * 5)
    left_over = LeftOver(OWNER, tmp_path, clock := Clock())
    spool = held(path)
    for _ in range(4):
        assert opened(left_over) is None
        assert left_over.comes_before(event("a"))
        clock.now += HELD_SECONDS
        spool.drop([event("a")])
    clock.now += HELD_SECONDS
    assert opened(left_over) is None
    assert left_over.comes_before(event("a"))
    clock.now += HELD_SECONDS + 1  # its process lives, and delivers nothing
    assert opened(left_over) is None
    assert not left_over.comes_before(event("a"))
    spool.close()


def test_a_living_processs_file_without_events_is_not_waited_for(tmp_path: Path) -> None:
    (path,) = left(tmp_path, ["a"])
    spool = held(path)
    left_over = LeftOver(OWNER, tmp_path)
    spool.drop([event("a")])
    assert opened(left_over) is None
    assert not left_over.comes_before(event("a"))
    spool.close()


def test_a_damaged_line_counts_as_an_event_without_a_task(tmp_path: Path) -> None:
    (path,) = left(tmp_path, ["a"])
    path.write_bytes(path.read_bytes() + b'{"task_id":"\xff"}\n' + event("b")[:-20])
    left_over = LeftOver(OWNER, tmp_path)
    assert left_over.comes_before(event("a"))
    assert left_over.comes_before(event(None))
    assert not left_over.comes_before(event("b"))
