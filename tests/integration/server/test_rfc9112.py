"""HTTP/1.1 by RFC 9112: what is read, what is refused, what is written.

A server that reads a request differently from the proxy in front can be made to read another one.
So a table of all looseness that was ever used for that, each with its answer.
"""

import itertools
import json
import os
from random import Random
from typing import Any

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
from tests.support.server.stage import Stage, get, serving


def post(*headers: str, body: bytes = b"") -> bytes:
    return get("/", *headers).replace(b"GET", b"POST") + body


def chunked(body: bytes, *headers: str) -> bytes:
    return post("Transfer-Encoding: chunked", *headers, body=body)


def lines(*raw: bytes) -> bytes:
    """A request of exactly these lines."""
    return b"\r\n".join([b"GET / HTTP/1.1", b"Host: relay", *raw]) + b"\r\n\r\n"


LAST = b"0\r\n\r\n"

REFUSED = {
    # -- the request line (3)
    "no version": (b"GET /\r\n\r\n", 400),
    "version in small letters": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    "version 0.9": (get(version="0.9"), 505),
    "version 1.2": (get(version="1.2"), 505),
    "version 3.0": (get(version="3.0"), 505),
    "version of two digits": (get(version="1.10"), 400),
    "another protocol": (b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a tab for a space": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "space behind": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "space in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "target not ASCII": (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "control in the target": (b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "method no token": (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "target too long": (get("/" + "a" * 9_000), 414),
    # -- line ends (2.2)
    "bare newlines": (get().replace(b"\r\n", b"\n"), 400),
    "a bare newline behind the line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "a bare newline behind a header": (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    "a bare newline at the end": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    "a bare return in a value": (lines(b"X: a\rb"), 400),
    "bare returns for line ends": (b"GET / HTTP/1.1\rHost: a\r\r\n\r\n", 400),
    "whitespace before the first header": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    # -- headers (5)
    "folded": (lines(b"X: a", b" b"), 400),
    "folded by a tab": (lines(b"X: a", b"\tb"), 400),
    "space before the colon": (lines(b"X : a"), 400),
    "tab before the colon": (lines(b"X\t: a"), 400),
    "no colon": (lines(b"X"), 400),
    "no name": (lines(b": a"), 400),
    "name with a bracket": (lines(b"X(: a"), 400),
    "name not ASCII": (lines(b"X\xe9: a"), 400),
    "NUL in a name": (lines(b"X\0: a"), 400),
    "NUL in a value": (lines(b"X: a\0b"), 400),
    "control in a value": (lines(b"X: a\x01b"), 400),
    "DEL in a value": (lines(b"X: a\x7fb"), 400),
    "headers too large": (lines(b"X: " + b"a" * 20_000), 431),
    "headers too many": (lines(*[b"X: a"] * 200), 431),
    # -- Host (3.2)
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (lines(b"Host: relay"), 400),
    "two hosts in HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "a host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a host with a user": (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    "a host with an empty label": (b"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400),
    "a host with a label too long": (b"GET / HTTP/1.1\r\nHost: " + b"a" * 64 + b"\r\n\r\n", 400),
    # -- how long the body is (6)
    "length and coding": (chunked(LAST, "Content-Length: 4"), 400),
    "coding and length": (post("Content-Length: 4", "Transfer-Encoding: chunked", body=LAST), 400),
    "two lengths": (post("Content-Length: 4", "Content-Length: 5", body=b"body"), 400),
    "two lengths alike": (post("Content-Length: 4", "Content-Length: 4", body=b"body"), 400),
    "lengths in a list": (post("Content-Length: 4, 4", body=b"body"), 400),
    "length with a plus": (post("Content-Length: +4", body=b"body"), 400),
    "length with a minus": (post("Content-Length: -4", body=b"body"), 400),
    "length in hex": (post("Content-Length: 0x4", body=b"body"), 400),
    "length with an underscore": (post("Content-Length: 1_0", body=bytes(10)), 400),
    "length empty": (post("Content-Length: "), 400),
    "length beyond counting": (post("Content-Length: 99999999999999999999"), 400),
    "length of many zeros": (post("Content-Length: " + "0" * 5_000 + "4", body=b"body"), 400),
    "length before a colon's space": (lines(b"Content-Length : 4"), 400),
    "coding gzip": (post("Transfer-Encoding: gzip"), 501),
    "coding gzip, chunked": (post("Transfer-Encoding: gzip, chunked", body=LAST), 501),
    "coding identity": (post("Transfer-Encoding: identity"), 501),
    "coding xchunked": (post("Transfer-Encoding: xchunked"), 501),
    "coding quoted": (post('Transfer-Encoding: "chunked"', body=LAST), 501),
    "coding with a parameter": (post("Transfer-Encoding: chunked;a=b", body=LAST), 501),
    "coding chunked, gzip": (post("Transfer-Encoding: chunked, gzip", body=LAST), 400),
    "coding chunked, chunked": (post("Transfer-Encoding: chunked, chunked", body=LAST), 400),
    "coding chunked twice": (chunked(LAST, "Transfer-Encoding: chunked"), 400),
    "coding empty": (post("Transfer-Encoding: "), 400),
    "coding in HTTP/1.0": (chunked(LAST).replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    # -- chunks (7.1)
    "chunk of no size": (chunked(b"\r\nbody\r\n" + LAST), 400),
    "chunk of negative size": (chunked(b"-4\r\nbody\r\n" + LAST), 400),
    "chunk of a size with 0x": (chunked(b"0x4\r\nbody\r\n" + LAST), 400),
    "chunk with a space in front": (chunked(b" 4\r\nbody\r\n" + LAST), 400),
    "chunk with a space behind": (chunked(b"4 \r\nbody\r\n" + LAST), 400),
    "chunk beyond counting": (chunked(b"f" * 17 + b"\r\n"), 400),
    "chunk of many zeros": (chunked(b"0" * 200 + b"4\r\nbody\r\n" + LAST), 400),
    "chunk shorter than it says": (chunked(b"5\r\nbody\r\n" + LAST), 400),
    "chunk longer than it says": (chunked(b"3\r\nbody\r\n" + LAST), 400),
    "chunk ended by a newline": (chunked(b"4\nbody\r\n" + LAST), 400),
    "chunk's data ended by a newline": (chunked(b"4\r\nbody\n" + LAST), 400),
    "extension ended by a newline": (chunked(b"4;a\nbody\r\n" + LAST), 400),
    "extension with a return": (chunked(b"4;a\rb\r\nbody\r\n" + LAST), 400),
    "extension too long": (chunked(b"4;" + b"a" * 2_000 + b"\r\nbody\r\n" + LAST), 400),
    "extensions too many": (chunked((b"1;" + b"a" * 500 + b"\r\nb\r\n") * 40 + LAST), 400),
    "trailer that is no header": (chunked(b"0\r\nX\r\n\r\n"), 400),
    "trailer with a space": (chunked(b"0\r\nX : a\r\n\r\n"), 400),
    "trailer that is folded": (chunked(b"0\r\nX: a\r\n b\r\n\r\n"), 400),
    "trailers too many": (chunked(b"0\r\n" + b"X: a\r\n" * 5_000 + b"\r\n"), 400),
}

READ = {
    # as sent: method, path, body
    "plain": (get("/path?200"), ("GET", "/path", b"")),
    "empty lines in front": (b"\r\n\r\n" + get(), ("GET", "/", b"")),
    "more empty lines than one read": (b"\r\n" * 20_000 + get(), ("GET", "/", b"")),
    "an absolute target": (get("http://relay/path"), ("GET", "/path", b"")),
    "a star": (get("*").replace(b"GET", b"OPTIONS"), ("OPTIONS", "*", b"")),
    "a method nobody knows": (get().replace(b"GET", b"BREW"), ("BREW", "/", b"")),
    "escapes": (get("/%e2%82%ac%2f"), ("GET", "/\u20ac/", b"")),
    "no space behind the colon": (lines(b"Content-Length:0"), ("GET", "/", b"")),
    "space around a value": (lines(b"Content-Length: \t 0 \t "), ("GET", "/", b"")),
    "an empty value": (lines(b"X:"), ("GET", "/", b"")),
    "every character of a name": (lines(b"!#$%&'*+-.^_`|~09aZ: a"), ("GET", "/", b"")),
    "a value not ASCII": (lines(b"X: \xe9"), ("GET", "/", b"")),
    "a host with a port": (get().replace(b"relay", b"[::1]:80"), ("GET", "/", b"")),
    "a host of long labels": (
        get().replace(b"relay", (b"a" * 63 + b".") * 3 + b":80"),
        ("GET", "/", b""),
    ),
    "an empty host": (get().replace(b" relay", b""), ("GET", "/", b"")),
    "a counted body": (post("Content-Length: 4", body=b"body"), ("POST", "/", b"body")),
    "zeros in front of a length": (
        post("Content-Length: 004", body=b"body"),
        ("POST", "/", b"body"),
    ),
    "a body of a GET": (lines(b"Content-Length: 4") + b"body", ("GET", "/", b"body")),
    "a chunked body": (chunked(b"2\r\nbo\r\n2\r\ndy\r\n" + LAST), ("POST", "/", b"body")),
    "no chunks": (chunked(LAST), ("POST", "/", b"")),
    "Chunked": (post("Transfer-Encoding: Chunked", body=LAST), ("POST", "/", b"")),
    "sizes in both cases": (
        chunked(b"A\r\n" + bytes(10) + b"\r\na\r\n" + bytes(10) + b"\r\n" + LAST),
        ("POST", "/", bytes(20)),
    ),
    "extensions": (
        chunked(b'4;a=b;c="d e"\r\nbody\r\n0;last\r\n\r\n'),
        ("POST", "/", b"body"),
    ),
    "trailers": (
        chunked(b"4\r\nbody\r\n0\r\nX: a\r\nHost: other\r\n\r\n"),
        ("POST", "/", b"body"),
    ),
    "an upgrade to what is not spoken": (
        post("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 4", body=b"body"),
        ("POST", "/", b"body"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_malformed_http_is_refused_and_ends_its_connection(name: str) -> None:
    sent, status = REFUSED[name]
    echo = Echo()
    async with serving(echo) as server:
        answer = await server.ask(sent + get("/smuggled"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert json.loads(body)["status"] == status
    assert server.observer.refusals == [status]
    assert all(scope["path"] != "/smuggled" for scope in echo.scopes)


@pytest.mark.parametrize("name", READ)
async def test_valid_http_is_read_whole_and_the_next_request_follows(name: str) -> None:
    sent, (method, path, body) = READ[name]
    echo = Echo()
    async with serving(echo) as server:
        answers = await server.ask(sent + get("/behind", "Connection: close"))
    assert answers.count(b"HTTP/1.1 200 ") == 2, answers
    assert [scope["path"] for scope in echo.scopes] == [path, "/behind"]
    assert echo.scopes[0]["method"] == method
    assert b"".join(event["body"] for event in echo.heard[0]) == body
    assert server.observer.refusals == []


async def test_trailers_never_become_headers() -> None:
    echo = Echo()
    async with serving(echo) as server:
        await server.ask(chunked(b"0\r\nX-Secret: a\r\n\r\n", "Connection: close"))
    assert b"x-secret" not in dict(echo.scopes[0]["headers"])


# -- what comes out


@pytest.mark.parametrize("status", [200, 201, 299, 400, 404, 500, 599])
async def test_a_body_is_counted_or_chunked(status: int) -> None:
    async with serving(Echo()) as server:
        client = await server.connect()
        for path, header in (("/", b"content-length"), ("/stream", b"transfer-encoding")):
            await client.send(
                post("Content-Length: 4", body=b"body").replace(
                    b" / ", f" {path}?{status} ".encode()
                )
            )
            response, body = await client.response(method="POST")
            assert (response.status_code, body) == (status, b"body")
            assert header in dict(response.headers)


@pytest.mark.parametrize("status", [204, 304])
async def test_responses_without_a_body_get_none(status: int) -> None:
    async with serving(Echo()) as server:
        sent = post("Content-Length: 4", body=b"body").replace(b" / ", b" /?%d " % status)
        answer = await server.ask(sent + get("/", "Connection: close"))
    head = answer.split(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head or status == 304
    assert b"body" not in answer
    assert answer.count(b"HTTP/1.1 ") == 2


async def test_head_is_get_without_the_body() -> None:
    async with serving(Echo()) as server:
        sent = post("Content-Length: 4", body=b"body").replace(b"POST", b"HEAD")
        answer = await server.ask(sent + get("/", "Connection: close"))
    assert b"content-length: 4\r\n" in answer
    assert b"body" not in answer
    assert answer.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("method", [b"get", b"Get", b"head", b"pOST", b"DELETe"])
async def test_a_method_in_small_letters_is_not_implemented(method: bytes) -> None:
    async with serving(Echo()) as server:
        answer = await server.ask(get("/").replace(b"GET", method))
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert b"case-sensitive" in answer


HOSTS = {
    **dict.fromkeys(["a", "a.b:80", "a:", "127.0.0.1:8000", "[::1]", "[::1]:8000", "a_b"], 200),
    **dict.fromkeys(["a:x", "a:80x", "a:-1", "[::1", "::1]", "::1", "a]", "[a", "a[b]"], 400),
    **dict.fromkeys(["[]", "[::1]x", "[::1]:x", "[::1]:8:8", "a:8:8", "a@b", "a/b"], 400),
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items())
async def test_a_host_has_brackets_in_pairs_and_a_port_of_digits(host: str, status: int) -> None:
    async with serving(Echo()) as server:
        sent = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        answer = await server.ask(sent.encode())
    assert answer.startswith(b"HTTP/1.1 %d " % status)


BAD_STARTS: dict[str, dict[str, Any]] = {
    "a newline in a value": {"headers": [(b"x", b"a\r\nset-cookie: b")]},
    "a newline in a name": {"headers": [(b"x: a\r\ny", b"b")]},
    "NUL in a value": {"headers": [(b"x", b"a\0")]},
    "an empty name": {"headers": [(b"", b"a")]},
    "a length that is none": {"headers": [(b"content-length", b"many")]},
    "an interim status": {"status": 101},
    "no status at all": {"status": 9},
}


@pytest.mark.parametrize("name", BAD_STARTS)
async def test_an_invalid_response_of_the_application_is_refused(name: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start | BAD_STARTS[name])
        await send({"type": "http.response.body", "body": b"x"})

    async with serving(app, errorlog=None) as server:
        answer = await server.ask(get())
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in answer
    assert server.observer.application_failures


@pytest.mark.parametrize("body", [b"longer than said", b"ab"])
async def test_a_body_of_another_length_ends_the_connection(stage: Stage, body: bytes) -> None:
    async with serving(stage) as server:
        client = await server.connect()
        await client.send(get() + get("/smuggled"))
        visit = await stage.visit()
        await visit.start((b"content-length", b"4"))
        with pytest.raises(Exception, match="Content-Length"):
            await visit.body(body)
        visit.leave()
        assert b"smuggled" not in await client.rest()


async def test_the_bytes_of_a_response_are_one_write(stage: Stage) -> None:
    async with serving(stage, include_date_header=True, include_server_header=False) as server:
        client = await server.connect()
        await client.send(get())
        visit = await stage.visit()
        await visit.start((b"content-length", b"2"), (b"x-own", b"1"))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BlockingIOError):  # the head has not gone out alone
            os.read(client.stream.socket.fileno(), 1)
        await visit.body(b"ok")
        visit.leave()
        answer = bytes(await client.stream.receive_some())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"ok"
    assert b"\r\ndate: " in head
    assert b"server:" not in head


async def test_a_connection_closes_after_its_maximum_of_requests() -> None:
    async with serving(Echo(), keep_alive_max_requests=3) as server:
        answer = await server.ask(get() * 5)
    heads = answer.split(b"HTTP/1.1 200 ")[1:]
    assert [b"connection: close" in head for head in heads] == [False, False, True]


async def test_100_continue_is_sent_only_when_the_body_is_read(stage: Stage) -> None:
    async with serving(stage) as server:
        client = await server.connect()
        await client.send(post("Content-Length: 4", "Expect: 100-continue"))
        visit = await stage.visit()
        await visit.respond(b"no need")
        visit.leave()
        answer = await client.rest()
        assert b"100 Continue" not in answer
        assert b"connection: close" in answer  # the body may come or not: this cannot be known


async def test_100_continue_is_never_sent_within_a_response(stage: Stage) -> None:
    async with serving(stage) as server:
        client = await server.connect()
        await client.send(post("Content-Length: 4", "Expect: 100-continue", "Connection: close"))
        visit = await stage.visit()
        await visit.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit.receive)
            await trio.testing.wait_all_tasks_blocked()
            await client.send(b"body")
        await visit.body(b"answer")
        visit.leave()
        answer = await client.rest()
    assert b"100 Continue" not in answer
    assert answer.endswith(b"\r\n\r\n6\r\nanswer\r\n0\r\n\r\n")


async def test_a_pipelining_client_does_not_block_others(
    stage: Stage,
) -> None:
    echo = Echo()
    async with serving(echo) as server:
        crowd = await server.connect()
        await crowd.send(get("/crowd") * 300)
        single = await server.connect()
        await single.send(get("/single"))
        await single.response()
        place = [scope["path"] for scope in echo.scopes].index("/single")
        assert place < 250


# -- any chunking, any mutation


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
