"""While Relay is away the client keeps its events, within bounds, and delivers them later."""

import os
import threading
from pathlib import Path

import pytest

from relay.client import Client
from relay.client.credentials import Credentials
from relay.client.left_over import LeftOver
from relay.client.outbox import Outbox
from relay.client.spool import MAX_FILE_BYTES, Owner, Spool, adopt
from tests.support.patience import PATIENCE
from tests.support.producers import client, spools
from tests.support.stand_in import TOKEN, StandIn, busy, elsewhere

HOUR = 3_600.0


def test_while_relay_is_down_nothing_blocks_and_the_next_start_delivers(stand_in: StandIn) -> None:
    stand_in.always = busy(str(HOUR))
    producer = client(stand_in, notes := list[str]())
    for number in range(2_000):
        producer.log(f"first {number}", "t-1")
    stand_in.was_asked()
    outcome = producer.close(timeout=0.5)
    assert len(stand_in.came) == 1  # nothing of this waited until Relay may be asked again
    assert (outcome.delivered, outcome.lost, outcome.kept > 0) == (False, 0, True)
    assert "saved for the next run" in notes[-1]
    (left,) = spools()
    assert left.stat().st_mode & 0o777 == 0o600

    stand_in.always = None
    with client(stand_in) as later:
        later.log("second")
    assert stand_in.log_lines() == [*(f"first {number}" for number in range(2_000)), "second"]
    assert spools() == []


def test_spooled_events_go_to_their_own_user_alone(stand_in: StandIn, away: str) -> None:
    with client(away) as producer:
        producer.log("elsewhere")
        producer.close(timeout=0.2)
    with Client(stand_in.url, "another-token", tell=list[str]().append) as other:
        other.log("mine")
    assert (stand_in.log_lines(), len(spools())) == (["mine"], 1)


def test_a_relay_that_never_answers_blocks_no_producer(stand_in: StandIn) -> None:
    stand_in.open.clear()
    producer = client(stand_in, notes := list[str]())
    for number in range(20_000):
        producer.log(f"line {number}")
    assert not producer.close(timeout=0.3).delivered
    assert "saved for the next run" in notes[-1]
    assert not stand_in.open.is_set()  # and there is no answer yet


def test_memory_and_disk_are_bounded_and_the_end_of_a_task_is_kept(
    monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    monkeypatch.setattr("relay.client.spool.MAX_FILE_BYTES", 2**20)
    producer = client(away)
    for _ in range(200):
        producer.log(os.urandom(25_000).hex())
    producer.publish("task_failed", {"exit_code": 9}, "t")
    outcome = producer.close(timeout=0.2)
    assert outcome.lost > 50
    (left,) = spools()
    assert left.stat().st_size < 2.1 * 2**20 < MAX_FILE_BYTES
    assert '"exit_code":9' in left.read_text().splitlines()[-1]


def test_without_a_writable_disk_memory_is_the_bound(home: Path, away: str) -> None:
    (home / "state").write_text("not a folder")
    with client(away, notes := list[str]()) as producer:
        for _ in range(200):
            producer.log(os.urandom(25_000).hex())
        outcome = producer.close(timeout=0.2)
    assert (outcome.kept, outcome.lost > 50) == (0, True)
    assert "lost" in notes[-1]


def run_while_away(stand_in: StandIn, *lines: str) -> None:
    """A run of the task `nightly` that fails while Relay is away."""
    before, stand_in.always = stand_in.always, busy(str(HOUR))
    with client(stand_in) as producer:
        producer.publish("task_started", {"title": "Nightly"}, "nightly")
        for line in lines:
            producer.log(line, "nightly")
        producer.publish("task_failed", {"exit_code": 3}, "nightly")
        producer.close(timeout=0.1)
    stand_in.always = before


def ends(stand_in: StandIn) -> list[str]:
    kinds = [event["event_type"] for event in stand_in.events if event["task_id"] == "nightly"]
    return [kind for kind in kinds if kind != "log"]


FAILED, SUCCEEDED = ["task_started", "task_failed"], ["task_started", "task_succeeded"]


@pytest.mark.parametrize("script", [[busy()], [elsewhere(502)], [elsewhere(502)] * 3])
def test_what_a_run_left_is_stored_before_the_next_run_of_its_task(
    stand_in: StandIn, script: list[tuple[int, bytes, dict[str, str]]]
) -> None:
    run_while_away(stand_in, "first")
    stand_in.script.extend(script)
    with client(stand_in) as producer:
        producer.publish("task_started", {}, "nightly")
        producer.log("second", "nightly")
        producer.publish("task_succeeded", {}, "nightly")
        assert producer.flush(PATIENCE)
    assert ends(stand_in) == FAILED + SUCCEEDED
    assert stand_in.log_lines() == ["first", "second"]
    assert spools() == []


def test_all_that_a_run_left_is_stored_before_its_next_run_however_much_it_is(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.client.sender.LEFT_OVER_SECONDS", 0)
    lines = [f"{number} {os.urandom(25_000).hex()}" for number in range(30)]
    run_while_away(stand_in, *lines)
    with client(stand_in) as producer:
        producer.publish("task_started", {}, "nightly")
        producer.publish("task_succeeded", {}, "nightly")
        assert producer.flush(PATIENCE)
    assert len(stand_in.batches) > 2
    assert ends(stand_in) == FAILED + SUCCEEDED
    assert stand_in.log_lines() == lines


def test_runs_that_end_while_relay_is_away_are_stored_one_after_the_other(
    stand_in: StandIn,
) -> None:
    for number in range(3):
        run_while_away(stand_in, str(number))
    assert len(spools()) == 3
    stand_in.script.append(elsewhere(502))
    with client(stand_in) as producer:
        producer.publish("task_started", {}, "nightly")
        producer.publish("task_succeeded", {}, "nightly")
        assert producer.flush(PATIENCE)
    assert ends(stand_in) == FAILED * 3 + SUCCEEDED
    assert spools() == []


def test_a_run_whose_end_comes_first_is_kept_behind_what_was_left(stand_in: StandIn) -> None:
    run_while_away(stand_in, "first")
    stand_in.open.clear()  # what is left is under way to the end, and has no answer
    producer = client(stand_in)
    producer.publish("task_started", {}, "nightly")
    producer.publish("task_succeeded", {}, "nightly")
    stand_in.was_asked(2)
    outcome = producer.close(timeout=0.1)
    assert (outcome.kept, outcome.lost) == (2, 0)
    assert len(spools()) == 2


def test_a_run_goes_on_where_what_was_left_is_refused(stand_in: StandIn) -> None:
    run_while_away(stand_in, "refused")
    stand_in.refuses = "refused"
    with client(stand_in) as producer:
        producer.publish("task_started", {}, "nightly")
        producer.publish("task_succeeded", {}, "nightly")
        assert producer.flush(PATIENCE)
    assert ends(stand_in) == FAILED + SUCCEEDED
    assert (stand_in.log_lines(), spools()) == ([], [])


def test_another_task_does_not_wait_for_what_was_left(stand_in: StandIn) -> None:
    run_while_away(stand_in, "left over")
    stand_in.script.append(elsewhere(502))
    with client(stand_in) as producer:
        producer.log("new", "another")
        stand_in.has_stored("left over")
    assert stand_in.log_lines() == ["new", "left over"]


def test_a_run_waits_for_another_process_that_sends_what_was_left(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_while_away(stand_in, "first")
    (path,) = spools()
    other = adopt(path, Owner.of(Credentials(stand_in.url, TOKEN)))
    assert other is not None
    looks, find = threading.Semaphore(0), LeftOver.file

    def look(left_over: LeftOver, before: bytes | None = None) -> Spool | None:
        found = find(left_over, before)
        if before is not None:
            looks.release()
        return found

    monkeypatch.setattr(LeftOver, "file", look)
    with client(stand_in) as producer:
        producer.publish("task_started", {}, "nightly")
        for _ in range(3):
            assert looks.acquire(timeout=PATIENCE)
        assert stand_in.requests == 1  # of the run that left it
        other.close()
        producer.publish("task_succeeded", {}, "nightly")
        assert producer.flush(PATIENCE)
    assert ends(stand_in) == FAILED + SUCCEEDED


def test_a_pause_that_relay_asks_for_counts_for_what_was_left_and_for_what_is_new(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_while_away(stand_in, "left over")
    stand_in.always = busy(str(HOUR))
    monkeypatch.setattr("relay.client.sender.TICK_SECONDS", 0.01)
    idle, wait = threading.Semaphore(0), Outbox.wait

    def note_wait(outbox: Outbox, seconds: float) -> bool:
        is_due = wait(outbox, seconds)
        idle.release()
        return is_due

    monkeypatch.setattr(Outbox, "wait", note_wait)
    before = len(stand_in.came)
    with client(stand_in) as producer:
        for _ in range(10):
            assert idle.acquire(timeout=PATIENCE)
        producer.log("new", "another")
        assert producer.close(timeout=0.1).kept == 1
    assert len(stand_in.came) - before == 1
