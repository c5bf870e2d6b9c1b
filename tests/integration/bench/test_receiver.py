"""The receiver of W11: it takes requests however they are cut, and notes each task's first one."""

import json
import socket
from contextlib import closing

from bench.generator import generator
from bench.notified import EndsLane, names_of
from bench.receiver import ANSWER, Receiver


def request(task_id: str) -> bytes:
    body = json.dumps({"type": "task.failed", "data": {"task_id": task_id}}).encode()
    return b"POST /hook HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_requests_are_taken_whole_and_counted_once() -> None:
    sent = request("task-0-0") + request("task-0-1") + request("task-0-0")
    with (
        generator() as load,
        closing(Receiver(load)) as receiver,
        closing(socket.create_connection(("127.0.0.1", receiver.port))) as sock,
    ):
        for start in range(0, len(sent), 37):
            sock.sendall(sent[start : start + 37])
            load.keep_reading(0.001)
        load.run_until(lambda: receiver.repeated == 1, 30, "the third one")
        assert list(receiver.arrived) == ["task-0-0", "task-0-1"]
        assert receiver.arrived["task-0-0"] <= receiver.arrived["task-0-1"]
        assert sock.recv(1_000).startswith(ANSWER)


def test_ends_are_named_in_the_order_of_their_posts() -> None:
    lanes = [EndsLane(number, 0, b"POST / HTTP/1.1\r\n") for number in range(2)]
    bodies = [lanes[turn % 2].request() for turn in range(3)]
    assert all(b'"task_id":"task-' in body for body in bodies)
    assert names_of(list(lanes), [0, 0]) == ["task-0-0", "task-1-0", "task-0-1"]
    assert names_of(list(lanes), [1, 0]) == ["task-0-1", "task-1-0"]
