"""A program that runs keeps the leases of its tasks, and one that is killed does not."""

import pytest

from relay.client import beats
from relay.client.beats import LEASE_SECONDS
from relay.client.client import Client
from tests.support.stand_in import TOKEN, StandIn


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beats, "BEAT_AFTER_SECONDS", 0.0)


def test_a_silent_task_beats_until_it_ends(stand_in: StandIn) -> None:
    with Client(stand_in.url, TOKEN) as client:
        client.start_task("build-7", "make test")
        client.start_task("build-8", "make docs")
        stand_in.has_beats(2)
        client.publish("task_succeeded", {}, "build-8")
        assert client.flush()
        so_far = len(stand_in.beats)
        stand_in.has_beats(so_far + 2)
        assert stand_in.beats[-1] == ["build-7"]
    assert [event["payload"] for event in stand_in.events[:2]] == [
        {"title": "make test", "lease_s": LEASE_SECONDS},
        {"title": "make docs", "lease_s": LEASE_SECONDS},
    ]
    so_far = len(stand_in.beats)
    with Client(stand_in.url, TOKEN) as client:
        client.publish("task_progress", {"progress": 0.5}, "build-7")
        assert client.flush()
    assert len(stand_in.beats) == so_far


def test_a_relay_that_takes_no_beats_is_asked_once(stand_in: StandIn) -> None:
    stand_in.takes_beats = False
    with Client(stand_in.url, TOKEN) as client:
        client.start_task("build-7", "make test")
        stand_in.has_beats(1)
        for number in range(3):
            client.log(f"line {number}", "build-7")
            assert client.flush()
    assert len(stand_in.beats) == 1
