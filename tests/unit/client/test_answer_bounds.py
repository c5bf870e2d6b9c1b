"""The time of an exchange is bounded as a whole, and a slow line has time for its upload."""

import httpcore
import pytest

from relay.client.answer_bounds import SLOWEST_UPLOAD, AnswerBounds


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("relay.client.answer_bounds.time", made)
    return made


def left(bounds: AnswerBounds) -> float | None:
    return bounds.shorten(None, httpcore.ReadTimeout)


def test_an_answer_byte_by_byte_gets_no_more_time(clock: Clock) -> None:
    bounds = AnswerBounds(10)
    for _ in range(9):
        clock.now += 1
        bounds.count(b"x")
    assert left(bounds) == 1
    assert bounds.shorten(0.5, httpcore.ReadTimeout) == 0.5
    clock.now += 1
    with pytest.raises(httpcore.ReadTimeout):
        left(bounds)


def test_a_slow_upload_has_the_time_that_its_bytes_need(clock: Clock) -> None:
    bounds = AnswerBounds(10)
    with bounds.writing(32 * SLOWEST_UPLOAD):
        clock.now += 41
        assert left(bounds) == 1
    assert left(bounds) == 10  # for the answer, however long the request took
    with bounds.writing(SLOWEST_UPLOAD):
        clock.now += 12
        with pytest.raises(httpcore.WriteTimeout):
            bounds.shorten(None, httpcore.WriteTimeout)


def test_a_stream_that_has_begun_has_no_bounds(clock: Clock) -> None:
    bounds = AnswerBounds(10)
    bounds.lift()
    clock.now += 1e9
    bounds.count(bytes(2**23))
    assert left(bounds) is None
    assert bounds.shorten(45, httpcore.ReadTimeout) == 45


def test_more_bytes_than_any_answer_of_relays_has_are_refused() -> None:
    bounds = AnswerBounds(10)
    for _ in range(80):
        bounds.count(bytes(2**16))
    with pytest.raises(httpcore.RemoteProtocolError, match="no end"):
        bounds.count(bytes(2**20))
    assert str(bounds.foreign_answer(has_head=True, is_malformed=True)) == "its answer has no end"
