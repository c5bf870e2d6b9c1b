"""The client never blocks a producer, and delivers its events once and in order."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay.client import Client, NoCredentials, NotDelivered
from relay.client.drafts import event
from relay.client.outbox import PROGRESS_INTERVAL, Outbox
from relay.client.spool import MAX_FILE_BYTES, Spool, spool_folder
from tests.support.patience import PATIENCE
from tests.support.stand_in import TOKEN, StandIn, busy, refusal

HOUR = 3_600.0
# In a program of its own: nothing is given up because the machine is slow.
PATIENTLY = "from relay.client import Client; Client.close.__defaults__ = (3600.0,)\n"


def client(server: StandIn | str, notes: list[str] | None = None, strict: bool = False) -> Client:
    url = server if isinstance(server, str) else server.url
    return Client(url, TOKEN, strict=strict, tell=(notes if notes is not None else []).append)


def run(code: str, server: StandIn) -> "subprocess.CompletedProcess[bytes]":
    """A program of its own, to its end."""
    command = [sys.executable, "-c", code, server.url]
    return subprocess.run(command, timeout=PATIENCE, check=False, capture_output=True)


def spools() -> list[Path]:
    return sorted(spool_folder().glob("*")) if spool_folder().exists() else []


def test_events_made_together_are_sent_as_one_batch_in_order(stand_in: StandIn) -> None:
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
    outbox.hurry()
    send()
    *_, last, end = notes
    assert (b'"progress":1.0' in last, b"task_succeeded" in end) == (True, True)


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


def test_strict_raises_at_the_start_and_at_the_end(away: str) -> None:
    with pytest.raises(NoCredentials, match="RELAY_TOKEN"):
        Client(strict=True)
    producer = client(away, strict=True)
    producer.log("lost?")
    with pytest.raises(NotDelivered, match=r"does not answer|slow to answer"):
        producer.close(timeout=0.2)


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


KILLED = """
import os, signal, sys, time
from relay.client import Client
producer = Client(sys.argv[1], "stand-in-token")
for number in range(100):
    producer.log(f"line {number}")
while not producer._outbox.kept_on_disk:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_delivered_by_the_next(stand_in: StandIn) -> None:
    stand_in.always = busy("0.1")
    assert run(KILLED, stand_in).returncode == -9
    stand_in.always = None
    with client(stand_in):
        stand_in.has_stored("line 99")  # the next has nothing of its own to say
    assert stand_in.log_lines() == [f"line {number}" for number in range(100)]
    assert spools() == []


UNCLOSED = f"""{PATIENTLY}
import sys
from relay.client import Client
producer = Client(sys.argv[1], "stand-in-token")
for number in range(1_000):
    producer.log(f"line {{number}}")
"""


def test_a_client_never_closed_loses_nothing(stand_in: StandIn) -> None:
    done = run(UNCLOSED, stand_in)
    assert (done.returncode, done.stderr) == (0, b"")
    assert stand_in.log_lines() == [f"line {number}" for number in range(1_000)]


INTERRUPTED = f"""{PATIENTLY}
import signal, sys, threading, time
import relay
from relay.client.sender import Sender
main = threading.get_ident()

def waits():
    frame = sys._current_frames()[main]
    while frame is not None and frame.f_code is not Sender.wait.__code__:
        frame = frame.f_back
    return frame is not None

def tell():
    while not waits():
        time.sleep(0.01)
    print("waits", flush=True)

threading.Thread(target=tell).start()
with relay.task("t", url=sys.argv[1], token="stand-in-token") as task:
    task.log("kept")
"""


def test_an_interrupted_wait_leaves_the_rest_on_disk(stand_in: StandIn) -> None:
    stand_in.open.clear()
    command = [sys.executable, "-c", INTERRUPTED, stand_in.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waits\n"
        # nothing is imported any more: code that runs while Python ends by the signal takes from
        # it that it ended so
        stand_in.was_asked()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT, errors
    assert not stand_in.open.is_set()  # it did not wait for an answer
    (left,) = spools()
    assert b"kept" in left.read_bytes()
    assert b"task_succeeded" in left.read_bytes()


FORKED = f"""{PATIENTLY}
import os, sys
import relay
with relay.task("parent", url=sys.argv[1], token="stand-in-token") as task:
    task.log("before")
    if (child := os.fork()) == 0:
        task.log("of the child")
        task.__exit__(None, None, None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    task.log("after")
"""


def test_a_forked_child_leaves_its_parents_events_alone(stand_in: StandIn) -> None:
    done = run(FORKED, stand_in)
    assert (done.returncode, stand_in.log_lines()) == (0, ["before", "after"])
    kinds = [event["event_type"] for event in stand_in.events]
    assert kinds.count("task_succeeded") == 1
