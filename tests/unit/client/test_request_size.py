"""A proxy's size limit makes requests smaller, and its end makes them larger again."""

import pytest

from relay.client.outbox import BATCH_BYTES, BATCH_LINES
from relay.client.request_size import FIRST_STREAK, LONGEST_STREAK, RequestSize

LINE = b"x" * 999 + b"\n"
MANY = [LINE] * (BATCH_BYTES // 1_000)


def send(size: RequestSize, requests: int, limit: int) -> int:
    """Send full requests through a proxy with this limit; returns how many it refused."""
    refused = 0
    for _ in range(requests):
        lines = size.fit(MANY)
        if sum(map(len, lines)) > limit:
            refused += 1
            size.halve_bytes(lines)
        else:
            size.grow(lines)
    return refused


@pytest.mark.parametrize("limit", [20_000, 100_000, 400_000])
def test_ever_fewer_requests_are_refused_while_the_limit_stays(limit: int) -> None:
    size = RequestSize()
    send(size, 100, limit)
    counts = [send(size, 2_000, limit) for _ in range(3)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] <= 2_000 // LONGEST_STREAK + 1


@pytest.mark.parametrize("limit", [2_000, 20_000, 400_000])
def test_requests_are_as_large_as_before_when_the_limit_has_gone(limit: int) -> None:
    size = RequestSize()
    send(size, 1_000, limit)
    assert size.bytes < BATCH_BYTES
    assert send(size, 9 * LONGEST_STREAK, 2**30) == 0
    assert size.bytes == BATCH_BYTES


def test_small_requests_say_nothing_about_the_limit() -> None:
    size = RequestSize()
    size.halve_bytes(MANY)
    before = size.bytes
    for _ in range(10 * FIRST_STREAK):
        size.grow([LINE])
    assert size.bytes == before


def test_one_line_always_fits_and_none_stays_none() -> None:
    size = RequestSize()
    size.halve_bytes([LINE, LINE])
    assert size.fit([LINE * 5, LINE]) == [LINE * 5]
    assert size.fit([]) == []


def test_lines_are_halved_and_doubled() -> None:
    size = RequestSize()
    size.halve_lines([LINE] * 10)
    assert size.lines == 5
    size.halve_lines([LINE])
    assert size.lines == 1
    for _ in range(20):
        size.grow([LINE])
    assert size.lines == BATCH_LINES
