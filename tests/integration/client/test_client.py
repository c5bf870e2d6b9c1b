"""The client delivers its events once and in order, and never blocks a producer."""

import threading
import time
from types import SimpleNamespace

import pytest

from relay.client import Client, NoCredentials, NotDelivered
from relay.client.drafts import event
from relay.client.outbox import PROGRESS_INTERVAL, Outbox
from relay.client.sender import THREAD_NAME
from relay.client.spool import Spool
from tests.support.patience import PATIENCE
from tests.support.producers import client, spools
from tests.support.stand_in import StandIn, busy, refusal


def test_events_made_together_are_sent_as_one_batch_in_order(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.client.outbox.SEND_AFTER_SECONDS", PATIENCE)  # all are together
    with client(stand_in) as producer:
        producer.publish("task_started", {"title": "t"}, "t-1")
        for number in range(5_000):
            producer.log(f"line {number}", "t-1")
        producer.publish("task_succeeded", {}, "t-1")
    assert stand_in.log_lines() == [f"line {number}" for number in range(5_000)]
    kinds = [event["event_type"] for event in stand_in.events]
    assert (kinds[0], kinds[-1]) == ("task_started", "task_succeeded")
    assert len(kinds) < 50  # chunks of lines, not lines
    assert spools() == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_retryable_failures_are_retried(stand_in: StandIn, status: int) -> None:
    stand_in.script += [busy(status=status)] * 3
    with client(stand_in, notes := list[str]()) as producer:
        producer.log("kept")
    assert (stand_in.log_lines(), stand_in.requests, notes) == (["kept"], 4, [])


def test_retry_after_is_honoured_and_order_kept(stand_in: StandIn) -> None:
    stand_in.script.append(busy("0.5", 429))
    with client(stand_in) as producer:
        producer.publish("task_started", {}, "t")
        stand_in.was_asked()
        producer.publish("task_succeeded", {}, "t")
        assert producer.flush()
    refused, tried_again = stand_in.came[:2]
    assert tried_again - refused >= 0.5
    assert [event["event_type"] for event in stand_in.events] == ["task_started", "task_succeeded"]


@pytest.mark.parametrize(
    ("status", "code"), [(401, "invalid_token"), (403, "forbidden"), (404, "not_found")]
)
def test_permanent_failures_are_reported_once_and_not_retried(
    stand_in: StandIn, status: int, code: str
) -> None:
    stand_in.always = refusal(status, code, "The credential is revoked.")
    producer = client(stand_in, notes := list[str]())
    producer.log("first")
    stand_in.was_asked()
    for number in range(3):
        producer.publish("task_progress", {"progress": number / 3})
    outcome = producer.close()
    assert stand_in.requests == 1
    assert "The credential is revoked." in notes[0]
    assert (outcome.lost, outcome.kept > 0) == (0, True)
    assert len(notes) == 2  # and the second says what became of the rest


def test_a_refused_event_holds_back_no_other(stand_in: StandIn) -> None:
    stand_in.refuses = "bad-id"
    with client(stand_in, notes := list[str]()) as producer:
        for number in range(40):
            producer.publish("log", {"n": number}, "bad-id" if number == 17 else "good")
    assert [e["payload"]["n"] for e in stand_in.events] == [n for n in range(40) if n != 17]
    assert [line for line in notes if "1 event refused" in line]


def test_a_payload_that_is_too_large_is_dropped_and_reported(stand_in: StandIn) -> None:
    with client(stand_in, notes := list[str]()) as producer:
        producer.publish("log", {"data": "x" * 70_000})
        producer.publish("log", {"data": "small"})
    assert [event["payload"] for event in stand_in.events] == [{"data": "small"}]
    assert "65536" in notes[0]


def test_logs_of_any_length_and_any_characters_arrive(stand_in: StandIn) -> None:
    text = "\x1b[31m" * 20_000 + "\n" + "ü😀" * 30_000
    with client(stand_in) as producer:
        producer.log(text)
        producer.log("lone \udcff surrogate")
    pieces = [event["payload"]["message"] for event in stand_in.events]
    assert "".join(pieces).replace("\n", "") == text.replace("\n", "") + "lone ? surrogate"


def test_progress_is_throttled_and_the_last_value_always_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=1_000.0)
    virtual = SimpleNamespace(monotonic=lambda: clock.now, time_ns=time.time_ns)
    monkeypatch.setattr("relay.client.outbox.time", virtual)
    monkeypatch.setattr("relay.client.drafts.time", virtual)

    def no_spool() -> Spool:
        raise OSError

    outbox, notes = Outbox(no_spool), list[bytes]()

    def send() -> None:
        if outbox.wait(0):
            notes.extend(lines := outbox.head())
            outbox.drop(lines)

    for number in range(1_000):  # a second of them
        outbox.put(event("task_progress", {"progress": number / 1_000}, "t"))
        send()
        clock.now += 0.001
    assert len(notes) == 1 / PROGRESS_INTERVAL
    outbox.put(event("task_progress", {"progress": 1.0}, "t"))
    outbox.put(event("task_succeeded", {}, "t"))
    outbox.set_urgent(True)
    send()
    *_, last, end = notes
    assert (b'"progress":1.0' in last, b"task_succeeded" in end) == (True, True)


def test_strict_raises_at_the_start_and_at_the_end(away: str) -> None:
    with pytest.raises(NoCredentials, match="RELAY_TOKEN"):
        Client(strict=True)
    producer = client(away, strict=True)
    producer.log("lost?")
    with pytest.raises(NotDelivered, match=r"does not answer|slow to answer"):
        producer.close(timeout=0.2)


def test_without_a_thread_for_it_events_wait_for_the_next_run(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit of processes the program goes on."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == THREAD_NAME:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        producer = client(stand_in, notes := list[str]())
        producer.start_task("t", "title", lambda: None)
        producer.publish("task_succeeded", {}, "t")
        outcome = producer.close()
    assert notes[0] == "events are not sent before the next run: can't start new thread"
    assert len(notes) == 2  # and what became of them
    assert (outcome.kept, outcome.lost, stand_in.events) == (2, 0, [])
    with client(stand_in) as producer:
        producer.log("next")
    names = [one["event_type"] for one in stand_in.events]
    assert names == ["task_started", "task_succeeded", "log"]


def test_without_a_relay_the_work_goes_on_with_one_warning() -> None:
    notes: list[str] = []
    with Client(tell=notes.append) as producer:
        for _ in range(10):
            producer.log("into the void")
        assert producer.flush()
    (line,) = notes
    assert "RELAY_URL" in line


def test_two_threads_share_a_client(stand_in: StandIn) -> None:
    with client(stand_in) as producer:

        def work(name: str) -> None:
            for number in range(500):
                producer.log(f"{name} {number}", name)

        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in "ab":
        mine = [line for line in stand_in.log_lines() if line.startswith(name)]
        assert mine == [f"{name} {number}" for number in range(500)]
