"""After which close a reader comes back, and when."""

from collections.abc import Iterator

import httpx
import pytest

from relay.client.api_client import ApiError
from relay.client.credentials import Credentials
from relay.client.stream_messages import MessageDecoder, StreamMessage
from relay.client.stream_reader import (
    RECONNECT_JITTER_SECONDS,
    ConnectionLost,
    StreamReader,
    _find_close,
)
from relay.realtime.close_codes import Close
from relay.realtime.encoding import control_json, sse_control
from tests.support.foreign_answers import HTML, IN_HTML, answer, once
from tests.support.foreign_server import ForeignServer


@pytest.mark.parametrize("close", Close)
def test_every_close_that_names_a_time_is_followed_by_another_attempt(close: Close) -> None:
    fields = {"code": close.code, "reason": close.reason, "retry_after_ms": close.retry_after_ms}
    messages = MessageDecoder("e.7").feed(sse_control("close", control_json("close", fields), None))
    if close.retry_after_ms is None:
        with pytest.raises(ApiError, match=close.reason):
            _find_close(messages)
        return
    lost = _find_close(messages)
    assert lost is not None
    assert close.reason in lost.why
    least = close.retry_after_ms / 1000
    assert least <= lost.pause <= least + RECONNECT_JITTER_SECONDS


class Scripted(StreamReader):
    """A reader whose connections are these: what each one yields, and how it ends."""

    def __init__(self, *connections: list[list[StreamMessage] | ApiError]) -> None:
        super().__init__(Credentials("http://relay.test", "token"), {})
        self._connections = list(connections)

    def _connection(self, _http: httpx.Client) -> Iterator[list[StreamMessage]]:
        for one in self._connections.pop(0):
            if isinstance(one, ApiError):
                raise one
            yield one


def first_break(*connection: list[StreamMessage] | ApiError) -> ConnectionLost:
    return next(one for one in Scripted([*connection]).read() if isinstance(one, ConnectionLost))


def close(retry_after_ms: int) -> StreamMessage:
    fields = {"code": 1012, "reason": "x", "retry_after_ms": retry_after_ms}
    return StreamMessage(b"", None, "close", fields)


def test_a_break_is_waited_out_as_its_answer_asks() -> None:
    busy = ApiError("busy", status=503, retry_after=7.0)
    lost = first_break(busy)
    assert (lost.why, 7 <= lost.pause < 8) == ("busy", True)
    lost = first_break(ApiError("away", status=0))
    assert (lost.why, 0 < lost.pause < 1) == ("away", True)
    lost = first_break([])
    assert (lost.why, 0 < lost.pause < 1) == ("the connection was lost", True)


def test_a_close_that_names_a_time_counts_also_if_the_connection_breaks_after_it() -> None:
    lost = first_break([close(9_000)], ApiError("the connection was cut", status=0))
    assert "Relay closed the stream: x" in lost.why
    assert 9 <= lost.pause <= 9 + RECONNECT_JITTER_SECONDS


@pytest.mark.parametrize(
    ("asked", "waited"), [(3_600_000, 300), (2**63, 300), (-5_000, 0)], ids=["hour", "ages", "past"]
)
def test_the_time_that_a_close_names_has_bounds(asked: int, waited: float) -> None:
    assert waited <= first_break([close(asked)]).pause <= waited + RECONNECT_JITTER_SECONDS


@pytest.mark.parametrize("after", [b"3600", b"1e300"])
def test_the_retry_after_of_another_program_has_a_bound(after: bytes) -> None:
    busy = answer(b"503 Service Unavailable", HTML, IN_HTML, b"Retry-After: " + after)
    with ForeignServer(0, once(busy)) as server:
        reader = StreamReader(Credentials(f"http://127.0.0.1:{server.port}", "token"), {})
        lost = next(reader.read())
        assert isinstance(lost, ConnectionLost)
        assert 300 <= lost.pause < 301
