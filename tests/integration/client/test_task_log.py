"""A log is downloaded whole: what breaks off is begun again, and no event comes twice."""

import itertools
import json
from collections.abc import Sequence

import pytest

from relay.client import task_log
from relay.client.api_client import ApiError
from relay.client.credentials import Credentials
from relay.client.task_log import download_log
from tests.support.foreign_server import ForeignServer, Line

HEAD = b"\r\n".join(
    [
        *(b"HTTP/1.1 200 OK", b"Content-Type: application/x-ndjson"),
        *(b"Transfer-Encoding: chunked", b"", b""),
    ]
)
AT = "2026-11-29T10:00:00Z"


def line(seq: int) -> bytes:
    event = {"seq": seq, "event_type": "log", "ts": AT, "received_at": AT, "payload": {"n": seq}}
    return json.dumps(event).encode() + b"\n"


LOG = b"".join(line(seq) for seq in range(3, 9))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def seqs(server: ForeignServer) -> list[int]:
    credentials = Credentials(f"http://127.0.0.1:{server.port}", "token", "a test")
    parts = download_log(credentials, "a+b", 2)
    return [one.event.seq for events in parts for one in events]


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_log, "pause_before", lambda *_: 0.0)


def server_of(answers: Sequence[bytes]) -> ForeignServer:
    """A server that gives these answers in turn, the last one again and again."""
    turn = itertools.chain(answers, itertools.repeat(answers[-1]))

    def play(connection: Line) -> None:
        if connection.read_request():
            connection.send(next(turn))

    return ForeignServer(0, play)


@pytest.mark.parametrize("cut", [0, 1, len(line(3)), len(line(3)) + 40, len(LOG) - 1, len(LOG)])
def test_a_download_that_breaks_off_is_begun_again(cut: int) -> None:
    whole = HEAD + chunk(LOG[:200]) + chunk(LOG[200:]) + b"0\r\n\r\n"
    with server_of([HEAD + (chunk(LOG[:cut]) if cut else b""), whole]) as server:
        assert seqs(server) == [3, 4, 5, 6, 7, 8]
        assert server.heads[0].startswith(
            b"GET /api/tasks/log?task_id=a%2Bb&format=ndjson&run=2 HTTP/1.1"
        )


def test_one_that_always_breaks_off_is_given_up_and_progress_is_not() -> None:
    progress = [HEAD + chunk(LOG[: len(line(3)) * count]) for count in range(1, 7)]
    with server_of([*progress, HEAD + chunk(LOG) + b"0\r\n\r\n"]) as server:
        assert seqs(server) == [3, 4, 5, 6, 7, 8]
    with server_of([HEAD + chunk(line(3))]) as server:
        with pytest.raises(ApiError) as failure:
            seqs(server)
        assert failure.value.is_temporary
        assert len(server.heads) == task_log.MAX_ATTEMPTS


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
        HEAD + chunk(b"<p>not ours\n") + b"0\r\n\r\n",
        HEAD + chunk(b'{"seq":"x"}\n') + b"0\r\n\r\n",
        HEAD + b"".join(chunk(b"x" * 2**16) for _ in range(20)) + b"0\r\n\r\n",
    ],
    ids=["a page", "no JSON", "another JSON", "a line without end"],
)
def test_another_programs_answer_is_refused(answer: bytes) -> None:
    with server_of([answer]) as server, pytest.raises(ApiError) as failure:
        seqs(server)
    assert not failure.value.is_of_relay
    assert len(server.heads) == 1
