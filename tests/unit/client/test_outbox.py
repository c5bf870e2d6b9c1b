"""The queue of events where there is no room for it on disk."""

from pathlib import Path

from relay.client.drafts import event
from relay.client.outbox import MAX_MEMORY_BYTES, Outbox
from relay.client.spool import Owner, Spool, new_spool

LARGE = "x" * 50_000


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
