"""A producer hears of the stop of its own run, and of no other."""

import os
import signal
import threading
import weakref
from collections import Counter
from functools import partial

import pytest

from relay.client import stop_listener
from relay.client.beats import MAX_TASKS
from relay.client.client import Client
from relay.client.reported_task import task
from tests.support.patience import PATIENCE
from tests.support.stand_in import TOKEN, Answer, StandIn, busy, refusal


def stop(*task_ids: str) -> Answer:
    return 200, {"stop": list(task_ids)}, {}


def test_a_run_listens_once_its_start_is_stored(stand_in: StandIn) -> None:
    """Before it, Relay's task is the run before, and a stop of that one may still be open there."""
    stand_in.script.extend([busy("0")] * 3)
    stand_in.beat_script.extend([stop("train")])
    stopped = threading.Event()
    with Client(stand_in.url, TOKEN) as client:
        client.start_task("train", "train", stopped.set)
        assert stopped.wait(PATIENCE)
    assert stand_in.stored_before[0] == 1


def test_a_stop_of_a_run_that_has_ended_does_not_reach_the_next_one(stand_in: StandIn) -> None:
    """The call still waited for the run before when the next one began."""
    stand_in.beats_open.clear()
    stand_in.beat_script.extend([stop("train"), stop("other")])
    stopped: list[str] = []
    other = threading.Event()
    with Client(stand_in.url, TOKEN) as client:
        client.start_task("train", "one", lambda: stopped.append("one"))
        stand_in.has_beats(1)
        client.publish("task_failed", {}, "train")
        client.start_task("train", "two", lambda: stopped.append("two"))
        client.start_task("other", "other", other.set)
        assert client.flush()
        stand_in.beats_open.set()
        assert other.wait(PATIENCE)
    assert stopped == []


def test_more_runs_than_a_call_may_name_are_listened_for_in_turn(stand_in: StandIn) -> None:
    names = [f"t-{number}" for number in range(MAX_TASKS + 1)]
    last = threading.Event()
    with Client(stand_in.url, TOKEN) as client:
        for name in names:
            client.start_task(name, name, last.set)
        assert client.flush()
        heard: Counter[str] = Counter()
        while heard.keys() != set(names):
            so_far = len(stand_in.beats)
            stand_in.has_beats(so_far + 1)
            heard = Counter(name for beat in stand_in.beats for name in beat)
        stand_in.beat_script.extend([stop(names[-1])] * 2)
        assert last.wait(PATIENCE)
    assert max(map(len, stand_in.beats)) == MAX_TASKS


def test_a_refusal_that_passes_is_waited_for_and_a_final_one_is_reported_once(
    stand_in: StandIn,
) -> None:
    stand_in.beat_script.extend([busy("0", 429), busy("0"), stop("t")])
    stopped, lines, reported = threading.Event(), list[str](), threading.Event()

    def tell(line: str) -> None:
        lines.append(line)
        reported.set()

    with Client(stand_in.url, TOKEN, tell=tell) as client:
        client.start_task("t", "t", stopped.set)
        assert stopped.wait(PATIENCE)
        assert lines == []
        stand_in.takes_beats = False
        client.start_task("t", "t", stopped.set)
        assert reported.wait(PATIENCE)
        client.start_task("u", "u", stopped.set)
        assert client.flush()
    assert [line.partition(": ")[0] for line in lines] == [
        "tasks can no longer be stopped from elsewhere"
    ]


# What stops wait for, by the name of a method of the client, and the signals that were sent before.
LATE = {"log_with": [], "flush": [signal.SIGINT]}


@pytest.mark.parametrize("method", LATE)
def test_a_stop_at_the_end_of_a_block_does_not_reach_what_follows(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _process, number: sent.append(number))
    monkeypatch.setattr(stop_listener, "GRACE_SECONDS", 0)
    asked, has_ended = threading.Event(), threading.Event()
    stand_in.beat_script.extend([stop("t")])
    with Client(stand_in.url, TOKEN) as client:

        def until_the_block_has_ended(*_given: object) -> None:
            asked.set()
            assert has_ended.wait(PATIENCE)

        monkeypatch.setattr(client, method, until_the_block_has_ended)
        with task("t", task_id="t", client=client, stoppable=True):
            assert asked.wait(PATIENCE)
            (stopping,) = (one for one in threading.enumerate() if one.name == "relay-stop")
        has_ended.set()
        stopping.join(PATIENCE)
        assert not stopping.is_alive()
    assert sent == LATE[method]


def refuses_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The system refuses the first thread of this name, as at the limit of processes."""
    start, refused = threading.Thread.start, list[str]()

    def start_or_refuse(thread: threading.Thread) -> None:
        if thread.name == name and not refused:
            refused.append(name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)


def test_a_stop_without_a_thread_is_tried_again(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses_once(monkeypatch, "relay-stop")
    monkeypatch.setattr(stop_listener, "NO_THREAD_SECONDS", 0)
    stand_in.beat_script.extend([stop("t")] * 2)
    stopped = threading.Event()
    with Client(stand_in.url, TOKEN) as client:
        client.start_task("t", "t", stopped.set)
        assert stopped.wait(PATIENCE)
    assert stand_in.beats[:2] == [["t"], ["t"]]


def test_events_are_sent_without_a_thread_for_stops_and_the_next_run_has_one(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses_once(monkeypatch, "relay-stops")
    stand_in.beat_script.extend([stop("one")])
    stopped, lines = threading.Event(), list[str]()
    with Client(stand_in.url, TOKEN, tell=lines.append) as client:
        client.start_task("one", "one", stopped.set)
        assert client.flush()
        assert lines == ["tasks cannot be stopped from elsewhere: can't start new thread"]
        client.start_task("two", "two", lambda: None)
        assert stopped.wait(PATIENCE)
    assert [event["task_id"] for event in stand_in.events] == ["one", "two"]


def test_of_a_task_that_has_ended_nothing_is_kept_whatever_became_of_its_events(
    stand_in: StandIn,
) -> None:
    """Also once a refused token has ended the sender, and once the client is closed."""
    stand_in.script.append(refusal(401, "invalid_token", "The credential is revoked."))
    refused = threading.Event()
    with Client(stand_in.url, TOKEN, tell=lambda line: refused.set()) as client:
        for has_refused in (False, True):
            stopped = weakref.WeakSet[threading.Event]()
            for number in range(3):
                stopped.add(on_stop := threading.Event())
                client.start_task(f"t-{number}", "title", partial(threading.Event.set, on_stop))
                del on_stop
            assert len(stopped) == 3
            for number in range(3):
                client.publish("task_succeeded", {}, f"t-{number}")
            assert not list(stopped), has_refused
            assert refused.wait(PATIENCE)
    client.start_task("late", "title", partial(threading.Event.set, on_stop := threading.Event()))
    late = weakref.ref(on_stop)
    del on_stop
    assert late() is None
