"""The bench notices an event that is lost, doubled, misdelivered or out of order."""

import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from bench.clients import Clients, wait_for_subscriptions
from bench.generator import Generator, Watcher, generator
from bench.machine import SERVER_CORES
from bench.marks import Lane, Verdict, judge, mark
from bench.peer import Endpoint, Peer, PeerInstance
from bench.posting import post_count
from bench.processes import running
from bench.proxies import PEERS
from bench.verification import arrivals, hide_controls, judge_all, last_arrival
from tests.support.ports import HeldPort

DUE = {7: range(0, 4), 8: range(10, 12)}
RIGHT = [(7, 0), (8, 10), (7, 1), (7, 2), (8, 11), (7, 3)]


@pytest.fixture
def load() -> Iterator[Generator]:
    with generator() as load:
        yield load


def test_complete_and_ordered_deliveries_are_right() -> None:
    verdict = judge(RIGHT, DUE)
    assert verdict == Verdict(correct=6)
    assert verdict.good


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        ([each for each in RIGHT if each != (7, 2)], "1 lost"),
        (RIGHT[:-1], "1 lost"),
        ([*RIGHT, (7, 1)], "1 duplicated"),
        ([(7, 0), (7, 2), (7, 1), (7, 3), (8, 10), (8, 11)], "1 reordered"),
        ([*RIGHT, (9, 0)], "1 misdelivered"),  # of a lane that is another user's
        ([*RIGHT, (7, 4)], "1 misdelivered"),  # of this user, and no producer sent it
        ([*RIGHT, (8, 9)], "1 duplicated"),  # of an earlier phase, which had it
        ([], "6 lost"),
    ],
)
def test_each_fault_has_its_name(seen: list[tuple[int, int]], wrong: str) -> None:
    assert str(judge(seen, DUE)) == wrong


def frame(text: bytes) -> bytes:
    """Longer than 125 bytes and shorter than 64 KiB."""
    text = text.ljust(126)
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text


def watcher(load: Generator, data: bytes, **kind: Any) -> Watcher:
    found = Watcher(load, 0, 0, kind.pop("request", b""), **kind)
    found.data += data
    found.lengths, found.times = [len(data) // 2, len(data)], [1.0, 2.0]
    return found


def test_sockets_of_one_user_must_agree(load: Generator) -> None:
    frames = [frame(mark(lane, number)) for lane, number in RIGHT]
    whole = b"".join(frames)
    other = b"".join([frames[0], frames[2], frames[1], *frames[3:]])  # right, yet another order
    due = {0: DUE}
    assert judge_all([watcher(load, whole), watcher(load, whole)], due) == Verdict(correct=12)
    assert judge_all([watcher(load, whole), watcher(load, other)], due) == Verdict(
        correct=12, inconsistent=1
    )
    assert judge_all([watcher(load, whole), watcher(load, whole[:-40])], due) == Verdict(
        correct=11, lost=1, inconsistent=1
    )


def test_bytes_that_are_no_message_are_reported(load: Generator) -> None:
    data = frame(mark(7, 0)) + b"\x42\x00" + frame(mark(7, 1))
    verdict = judge_all([watcher(load, data)], {0: {7: range(2)}})
    assert verdict == Verdict(correct=2, malformed=1)


def test_a_message_in_fragments_is_one_message(load: Generator) -> None:
    text = mark(7, 0)
    parts = [b"\x01\x06" + text[:6], b"\x89\x00", b"\x00\x04" + text[6:10], b"\x80\x06" + text[10:]]
    whole = watcher(load, b"".join([*parts, frame(mark(7, 1))]))
    assert judge_all([whole], {0: {7: range(2)}}) == Verdict(correct=2)
    assert [number for (_, number), _ in arrivals(whole)] == [0, 1]
    lone = watcher(load, parts[2])  # a continuation of nothing
    assert judge_all([lone], {0: {7: range(0)}}).malformed == 1


def test_an_event_stream_is_read_through_its_chunks(load: Generator) -> None:
    text = b"retry: 2000\n\n" + b"".join(b"data: %s\n\n" % mark(7, n) for n in range(4))
    cut = len(text) - 30  # within an event
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (text[:cut], text[cut:]))
    stream = watcher(load, chunks, sse=True, chunked=True)
    assert judge_all([stream], {0: {7: range(4)}}) == Verdict(correct=4)
    stream = watcher(load, text, sse=True)
    assert [at for _, at in arrivals(stream)] == [1.0, 2.0, 2.0, 2.0]


TASK = b'{"type":"task","task":{"task_id":"build","message":"%s compiled"}}' % mark(7, 1)


def test_messages_about_tasks_repeat_no_event(load: Generator) -> None:
    """They have the mark of the task's last event, and come whenever they are made."""
    due = {0: {7: range(2)}}
    frames = [frame(mark(7, 0)), frame(TASK), frame(mark(7, 1)), frame(TASK)]
    stream = watcher(load, b"".join(frames), request=b"GET /api/rt?tasks=1")
    hide_controls(stream)
    assert judge_all([stream], due) == Verdict(correct=2)
    assert last_arrival([stream]) == 2.0
    plain = watcher(load, b"".join(frames))  # it asked for none
    hide_controls(plain)
    assert str(judge_all([plain], due)) == "2 duplicated"


def test_messages_about_tasks_repeat_no_event_of_an_event_stream(load: Generator) -> None:
    blocks = [b"data: %s\n\n" % mark(7, number) for number in range(2)]
    text = b"event: task\ndata: %s\n\n" % TASK
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (blocks[0], text, blocks[1], text)]
    stream = watcher(
        load, b"".join(chunks), request=b"GET /api/sse?tasks=1", sse=True, chunked=True
    )
    hide_controls(stream)
    assert judge_all([stream], {0: {7: range(2)}}) == Verdict(correct=2)


def test_a_mark_goes_from_the_request_into_the_message() -> None:
    lane = Lane(3, 0, b"POST /100% HTTP/1.1\r\n", batch=2)
    head, _, body = lane.request().partition(b"\r\n\r\n")
    assert head == b"POST /100%% HTTP/1.1\r\nContent-Length: %d" % len(body)
    assert body.count(b"\n") == 2
    assert mark(3, 0) in body
    assert mark(3, 1) in body
    assert mark(3, 2) in lane.request()


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ("", "all correct"),
        ("lose", "4 lost"),
        ("double", "4 duplicated"),
        ("stray", "12 misdelivered"),
        ("swap", "4 reordered"),
    ],
)
def test_a_faulty_server_fails_the_verdict(load: Generator, fault: str, wrong: str) -> None:
    """Over real sockets: four users with a stream each; the fifth event of each goes wrong."""
    held = HeldPort()
    port = held.number
    command = [sys.executable, str(PEERS / "null.py"), str(port), *([fault] if fault else [])]
    with held, running(command, port, {}, cores=SERVER_CORES) as program:
        endpoints = [Endpoint(port, query=f"user=u{number}") for number in range(4)]
        peer = Peer(name="null", title="", start=lambda *_: closing(None))
        clients = Clients(load, peer, PeerInstance(program, lambda *_: endpoints), endpoints)
        with closing(clients):
            clients.watch()
            clients.produce()
            wait_for_subscriptions(load)
            phase = clients.phase(partial(post_count, load, clients.posters, 8))
    assert str(phase.verdict) == wrong
    assert phase.good is not bool(fault)
