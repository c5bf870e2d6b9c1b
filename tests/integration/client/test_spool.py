"""While Relay is away the client keeps its events, within bounds, and delivers them later."""

import os
from pathlib import Path

import pytest

from relay.client import Client
from relay.client.spool import MAX_FILE_BYTES
from tests.support.producers import client, spools
from tests.support.stand_in import StandIn, busy

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
