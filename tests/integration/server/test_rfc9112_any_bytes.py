"""Requests are the same in any chunking, and any mutation of one is a request or a problem."""

import itertools
from random import Random

import h11
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import Problem
from relay.server.framing import MAX_LINE_BYTES, ChunkedReader, ContentLengthReader
from relay.server.heads import parse_head
from tests.support.examples import examples
from tests.support.server.echo import Echo
from tests.support.server.mutations import CHUNKED, HANDSHAKE, POST, mutated
from tests.support.server.rfc9112 import REFUSED, chunked
from tests.support.server.stage import get, serving

STREAMS = {
    "counted": POST,
    "chunked": CHUNKED,
    "three": get() + POST + CHUNKED,
    "refused behind another": POST + b"GET / HTTP/1.1\r\n\r\n",
    "extensions and trailers": chunked(b"4;a=b\r\nbody\r\n0\r\nX: a\r\n\r\n") + get(),
}


@settings(max_examples=examples(30), deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", STREAMS)
async def test_requests_are_the_same_in_any_chunking(name: str, data: st.DataObject) -> None:
    sent = STREAMS[name]
    cuts = data.draw(st.lists(st.integers(1, len(sent) - 1), max_size=12, unique=True))
    whole, bodies = await _answers([sent])
    edges = [0, *sorted(cuts), len(sent)]
    pieces = [sent[at:end] for at, end in itertools.pairwise(edges)]
    assert await _answers(pieces) == (whole, bodies)


async def _answers(pieces: list[bytes]) -> tuple[list[int], list[bytes]]:
    """The statuses, and the bodies the application got, of what comes in these pieces."""
    echo = Echo()
    async with serving(echo) as server:
        client = await server.connect()
        for piece in pieces:
            await client.send(piece)
            await trio.testing.wait_all_tasks_blocked()
        await client.stream.send_eof()
        answer = await client.rest()
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    return statuses, [b"".join(event.get("body", b"") for event in heard) for heard in echo.heard]


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from([b"", b";a=b"]))),
    st.lists(st.integers(0, 2_000), max_size=20),
)
def test_chunks_are_the_same_wherever_they_are_cut(
    chunks: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    wire = b"".join(b"%x%b\r\n%b\r\n" % (len(data), ext, data) for data, ext in chunks)
    wire += b"0\r\nX: a\r\n\r\nGET"
    body, unread, got = ChunkedReader(), b"", b""
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    for at, end in itertools.pairwise(edges):
        data, unread = body.take(unread + wire[at:end])
        got += data
        assert len(unread) <= MAX_LINE_BYTES or body.complete
    assert (body.complete, got, unread) == (True, b"".join(data for data, _ in chunks), b"GET")


@given(st.binary(max_size=100), st.integers(0, 200))
def test_a_counted_body_ends_at_its_length(sent: bytes, length: int) -> None:
    body = ContentLengthReader(length)
    assert body.take(sent) == (sent[:length], sent[length:])
    assert body.complete is (len(sent) >= length)


def test_ten_thousand_mutated_heads_are_heads_or_problems() -> None:
    random = Random(9112)
    originals = [HANDSHAKE, POST, CHUNKED, get(), *(sent for sent, _ in REFUSED.values())]
    heads = 0
    for _ in range(10_000):
        sent = mutated(random.choice(originals)[:2_000], random)
        raw = sent[: sent.find(b"\r\n\r\n") + 4] or b"\r\n\r\n"
        try:
            head = parse_head(raw)
        except Problem:
            continue
        heads += 1
        # what was read is what another strict reader reads
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
        reader.receive_data(raw)
        event = reader.next_event()
        assert isinstance(event, h11.Request)
        assert (head.method, head.target, head.version) == (
            event.method,
            event.target,
            event.http_version,
        )
        assert head.headers == [
            (name, head.all_of(name) if name == b"transfer-encoding" else value)  # h11 lowers it
            for name, value in event.headers
        ]
    assert heads > 500


def test_ten_thousand_mutated_bodies_end_or_are_refused() -> None:
    random = Random(9112)
    for _ in range(10_000):
        body = ChunkedReader()
        unread = mutated(b"4;a=b\r\nbody\r\n5\r\nhello\r\n0\r\nX: a\r\n\r\n", random)
        try:
            got, unread = body.take(unread)
        except Problem:
            continue
        assert len(got) + len(unread) <= 1_000
