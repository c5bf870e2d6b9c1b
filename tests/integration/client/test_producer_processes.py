"""However a producer's process ends, its events are delivered by it or by the next."""

import signal
import subprocess
import sys

from tests.support.patience import PATIENCE
from tests.support.producers import PATIENTLY, client, run, spools
from tests.support.stand_in import StandIn, busy

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
