"""The queue of events where there is no room for it on disk."""

from pathlib import Path

import msgspec

from relay.client.drafts import event
from relay.client.outbox import MAX_MEMORY_BYTES, MAX_TASKS, Outbox
from relay.client.spool import RESERVE_BYTES, Owner, Spool, new_spool

LARGE = "x" * 50_000


def no_spool() -> Spool:
    raise OSError("a read-only disk")


def all_of(outbox: Outbox) -> list[bytes]:
    taken = list[bytes]()
    while lines := outbox.head():
        taken += lines
        outbox.drop(lines)
    return taken


def test_a_file_that_could_not_be_created_is_tried_again_but_not_for_each_event(
    tmp_path: Path,
) -> None:
    made = list[str]()

    def make() -> Spool:
        made.append("tried")
        if len(made) < 3:
            raise OSError("the disk is full")
        return new_spool(Owner("http://relay.test", "user"), tmp_path)

    outbox = Outbox(make)
    for number in range(MAX_MEMORY_BYTES // len(LARGE) + 10):
        outbox.put(event("log", {"n": number, "data": LARGE}, "t"))
    assert (made, outbox.lost > 0) == (["tried"], True)
    waiting = outbox.waiting
    outbox.spill()
    assert (len(made), outbox.kept_on_disk, outbox.waiting) == (2, 0, waiting)
    outbox.spill()
    assert (len(made), outbox.kept_on_disk, outbox.waiting) == (3, waiting, waiting)
    outbox.close()


def test_without_a_file_the_ends_of_tasks_are_bounded_too_and_the_last_to_be_lost() -> None:
    outbox = Outbox(no_spool)
    put = 0
    while not outbox.lost:
        outbox.put(event("log", {"n": put, "data": LARGE}, "t"))
        put += 1
    outbox.put(event("task_succeeded", {"data": "small"}, "t"))
    assert (outbox.lost, outbox.waiting) == (1, put)
    ends = 2 * (MAX_MEMORY_BYTES + RESERVE_BYTES) // len(LARGE)
    for number in range(ends):
        outbox.put(event("task_failed", {"n": number, "data": LARGE}, f"t-{number}"))
    assert outbox.lost + outbox.waiting == put + 1 + ends
    lines = all_of(outbox)
    assert sum(map(len, lines)) <= MAX_MEMORY_BYTES + RESERVE_BYTES + len(lines)
    last = [msgspec.json.decode(line) for line in lines[put - 1 :]]
    assert last[0]["event_type"] == "task_succeeded"
    assert [one["payload"]["n"] for one in last[1:]] == list(range(len(last) - 1))
    assert len(last) > 1


def test_progress_that_no_sender_takes_is_bounded() -> None:
    outbox = Outbox(no_spool)
    tasks = 2 * MAX_MEMORY_BYTES // len(LARGE) + 2 * MAX_TASKS
    for number in range(tasks):
        for part in (0.1, 0.2):
            outbox.put(event("task_progress", {"fraction": part, "data": LARGE}, f"t-{number}"))
    assert outbox.lost > 0
    assert outbox.lost + outbox.waiting == 2 * tasks
    assert len(outbox._held_progress) <= MAX_TASKS
