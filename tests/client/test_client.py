"""A producer's work never waits for Relay, and what it said arrives: once, and in order."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from relay.client import Client, NoCredentials, NotDelivered
from relay.client.spool import FILE_MOST, spool_folder
from tests.client.stand_in import TOKEN, StandIn, busy

AWAY = "http://127.0.0.1:1"  # nobody listens there


def client(server: StandIn | str, told: list[str] | None = None, strict: bool = False) -> Client:
    url = server if isinstance(server, str) else server.url
    return Client(url, TOKEN, strict=strict, tell=(told if told is not None else []).append)


def spools() -> list[Path]:
    return sorted(spool_folder().glob("*")) if spool_folder().exists() else []


def test_what_comes_together_goes_together_and_arrives_in_order(stand_in: StandIn) -> None:
    with client(stand_in) as producer:
        producer.publish("task_started", {"title": "t"}, "t-1")
        for number in range(5_000):
            producer.log(f"line {number}", "t-1")
        producer.publish("task_succeeded", {}, "t-1")
    assert stand_in.said() == [f"line {number}" for number in range(5_000)]
    kinds = [event["event_type"] for event in stand_in.events]
    assert (kinds[0], kinds[-1]) == ("task_started", "task_succeeded")
    assert len(kinds) < 50  # chunks of lines, not lines
    assert spools() == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_work_later_is_tried_again(stand_in: StandIn, status: int) -> None:
    stand_in.script += [busy(status=status)] * 3
    with client(stand_in, told := []) as producer:
        producer.log("kept")
    assert (stand_in.said(), stand_in.requests, told) == (["kept"], 4, [])


def test_retry_after_is_waited_out_and_order_kept(stand_in: StandIn) -> None:
    stand_in.script.append(busy("1", 429))
    with client(stand_in) as producer:
        producer.publish("task_started", {}, "t")
        stand_in.was_asked()
        asked = time.monotonic()
        producer.publish("task_succeeded", {}, "t")
        assert producer.flush()
        assert 0.9 < time.monotonic() - asked < 3
    assert [event["event_type"] for event in stand_in.events] == ["task_started", "task_succeeded"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_person_must_see_to_is_told_once_and_not_tried_again(
    stand_in: StandIn, status: int
) -> None:
    stand_in.always = status, {"detail": "The credential is revoked."}, {}
    producer = client(stand_in, told := [])
    producer.log("first")
    stand_in.was_asked()
    for number in range(3):
        producer.publish("task_progress", {"progress": number / 3})
    outcome = producer.close()
    assert stand_in.requests == 1
    assert "The credential is revoked." in told[0]
    assert (outcome.lost, outcome.kept > 0) == (0, True)
    assert len(told) == 2  # and the second says what became of the rest


def test_one_event_that_relay_does_not_take_keeps_back_no_other(stand_in: StandIn) -> None:
    stand_in.refuses = "bad-id"
    with client(stand_in, told := []) as producer:
        for number in range(40):
            producer.publish("log", {"n": number}, "bad-id" if number == 17 else "good")
    assert [e["payload"]["n"] for e in stand_in.events] == [n for n in range(40) if n != 17]
    assert [line for line in told if "1 event refused" in line]


def test_a_payload_that_is_too_large_is_left_out_and_said(stand_in: StandIn) -> None:
    with client(stand_in, told := []) as producer:
        producer.publish("log", {"data": "x" * 70_000})
        producer.publish("log", {"data": "small"})
    assert [event["payload"] for event in stand_in.events] == [{"data": "small"}]
    assert "65536" in told[0]


def test_a_log_of_any_length_and_any_letters_arrives(stand_in: StandIn) -> None:
    text = "\x1b[31m" * 20_000 + "\n" + "ü😀" * 30_000
    with client(stand_in) as producer:
        producer.log(text)
        producer.log("lone \udcff surrogate")
    pieces = [event["payload"]["message"] for event in stand_in.events]
    assert "".join(pieces).replace("\n", "") == text.replace("\n", "") + "lone ? surrogate"


def test_progress_is_told_a_few_times_a_second_and_the_last_one_always(stand_in: StandIn) -> None:
    started = time.monotonic()
    with client(stand_in) as producer:
        while time.monotonic() - started < 0.6:
            producer.publish("task_progress", {"progress": 0.5}, "t")
            time.sleep(0.001)
        producer.publish("task_progress", {"progress": 1.0}, "t")
        producer.publish("task_succeeded", {}, "t")
    told = [event["payload"].get("progress") for event in stand_in.events]
    assert told[-2:] == [1.0, None]
    assert 2 <= len(told) <= 8


def test_while_relay_is_away_nothing_waits_and_the_next_start_delivers(stand_in: StandIn) -> None:
    stand_in.always = busy("0.2")
    producer = client(stand_in, told := [])
    for number in range(2_000):
        producer.log(f"first {number}", "t-1")
    began = time.monotonic()
    outcome = producer.close(timeout=0.5)
    assert time.monotonic() - began < 3
    assert (outcome.delivered, outcome.lost, outcome.kept > 0) == (False, 0, True)
    assert "kept on disk" in told[-1]
    (left,) = spools()
    assert left.stat().st_mode & 0o777 == 0o600

    stand_in.always = None
    with client(stand_in) as later:
        later.log("second")
        stand_in.was_asked(stand_in.requests + 1)
        assert later.flush()
    assert stand_in.said() == [*(f"first {number}" for number in range(2_000)), "second"]
    assert spools() == []


def test_what_was_left_over_goes_to_its_own_user_alone(stand_in: StandIn) -> None:
    with client(AWAY) as producer:
        producer.log("elsewhere")
        producer.close(timeout=0.2)
    with Client(stand_in.url, "another-token", tell=[].append) as other:
        other.log("mine")
    assert (stand_in.said(), len(spools())) == (["mine"], 1)


def test_a_relay_that_takes_all_and_answers_nothing_stops_nobody(stand_in: StandIn) -> None:
    stand_in.open.clear()
    producer = client(stand_in, told := [])
    began = time.monotonic()
    for number in range(20_000):
        producer.log(f"line {number}")
    assert time.monotonic() - began < 3
    assert not producer.close(timeout=0.3).delivered
    assert time.monotonic() - began < 4
    assert "kept on disk" in told[-1]


def test_memory_and_disk_are_bounded_and_the_end_of_a_task_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.client.spool.FILE_MOST", 2**20)
    producer = client(AWAY)
    for _ in range(200):
        producer.log(os.urandom(25_000).hex())
    producer.publish("task_failed", {"exit_code": 9}, "t")
    outcome = producer.close(timeout=0.2)
    assert outcome.lost > 50
    (left,) = spools()
    assert left.stat().st_size < 2.1 * 2**20 < FILE_MOST
    assert '"exit_code":9' in left.read_text().splitlines()[-1]


def test_where_nothing_can_be_written_memory_is_the_bound(home: Path) -> None:
    (home / "state").write_text("not a folder")
    with client(AWAY, told := []) as producer:
        for _ in range(200):
            producer.log(os.urandom(25_000).hex())
        outcome = producer.close(timeout=0.2)
    assert (outcome.kept, outcome.lost > 50) == (0, True)
    assert "lost" in told[-1]


def test_strict_raises_at_the_start_and_at_the_end(stand_in: StandIn) -> None:
    with pytest.raises(NoCredentials, match="RELAY_TOKEN"):
        Client(strict=True)
    producer = client(AWAY, strict=True)
    producer.log("lost?")
    with pytest.raises(NotDelivered, match=r"does not answer|slow to answer"):
        producer.close(timeout=0.2)


def test_without_a_relay_the_work_goes_on_and_hears_of_it_once() -> None:
    told: list[str] = []
    with Client(tell=told.append) as producer:
        for _ in range(10):
            producer.log("into the void")
        assert producer.flush()
    (line,) = told
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
        mine = [line for line in stand_in.said() if line.startswith(name)]
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
    killed = subprocess.run([sys.executable, "-c", KILLED, stand_in.url], timeout=20, check=False)
    assert killed.returncode == -9
    stand_in.always = None
    with client(stand_in) as later:
        stand_in.was_asked(stand_in.requests + 1)
        later.flush()
    assert stand_in.said() == [f"line {number}" for number in range(100)]
    assert spools() == []


UNCLOSED = """
import sys
from relay.client import Client
producer = Client(sys.argv[1], "stand-in-token")
for number in range(1_000):
    producer.log(f"line {number}")
"""


def test_whoever_forgets_to_close_loses_nothing(stand_in: StandIn) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNCLOSED, stand_in.url], timeout=20, check=True, capture_output=True
    )
    assert (stand_in.said(), done.stderr) == ([f"line {number}" for number in range(1_000)], b"")


INTERRUPTED = """
import os, signal, sys, threading
import relay
main = threading.get_ident()
with relay.task("t", url=sys.argv[1], token="stand-in-token") as task:
    task.log("kept")
    threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
"""


def test_what_is_left_when_the_wait_is_interrupted_is_on_disk(stand_in: StandIn) -> None:
    stand_in.open.clear()
    began = time.monotonic()
    script = [sys.executable, "-c", INTERRUPTED, stand_in.url]
    done = subprocess.run(script, timeout=20, check=False, capture_output=True)
    took = time.monotonic() - began
    assert (done.returncode, took < 4) == (-2, True), (took, done.stdout, done.stderr)
    (left,) = spools()
    assert b"kept" in left.read_bytes()
    assert b"task_succeeded" in left.read_bytes()


FORKED = """
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
    done = subprocess.run([sys.executable, "-c", FORKED, stand_in.url], timeout=20, check=True)
    assert (done.returncode, stand_in.said()) == (0, ["before", "after"])
    kinds = [event["event_type"] for event in stand_in.events]
    assert kinds.count("task_succeeded") == 1
