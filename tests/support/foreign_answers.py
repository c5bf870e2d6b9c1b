"""What may answer at Relay's address in place of Relay, on the wire: one table for all clients."""

import gzip
import socket
import ssl
import tempfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support.certificates import self_signed
from tests.support.foreign_server import Line, Play

HTML = b"<html>Welcome to the hotel</html>"
RECEIPT = b'{"ok":true,"accepted":1,"duplicates":0,"first_seq":1,"last_seq":1}'
CUT = b"HTTP/1.1 200 OK\r\nContent-Le"
JSON = b"Content-Type: application/json"
IN_HTML = b"Content-Type: text/html"
SSE = b"Content-Type: text/event-stream"
GZIP = b"Content-Encoding: gzip"
CHUNKED = b"Transfer-Encoding: chunked"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: <" + b"x" * 8_000 + b">\r\n\r\n"
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"

SLOW = "no answer in time"
NO_END = "its answer has no end"
NO_HTTP = "it does not answer in HTTP"
NO_HEAD = "the head of its answer is invalid"
TLS = "it speaks TLS: is the address an https:// one?"
LOST = "does not answer ("
PAGE = "it answered 200 OK (text/html)"


class Row(NamedTuple):
    """`words` are part of the message. `may_be_relay`: like an answer of Relay's that broke off."""

    play: Play
    words: str
    may_be_relay: bool = False


def answer(head: bytes, body: bytes, *fields: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + head, *fields]
    if not any(field.startswith((b"Content-Length", b"Transfer-Encoding")) for field in fields):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def replies(*steps: tuple[Callable[[Line, bytes], None], bytes]) -> Play:
    """Read a request, do these steps, and close."""

    def play(line: Line) -> None:
        line.read_request()
        for step, data in steps:
            step(line, data)

    return play


def once(data: bytes) -> Play:
    return replies((Line.send, data))


def endless(beginning: bytes, part: bytes) -> Play:
    return replies((Line.send, beginning), (Line.repeat, part))


def dripping(beginning: bytes, rest: bytes) -> Play:
    return replies((Line.send, beginning), (Line.drip, rest))


def silent(data: bytes) -> Play:
    return replies((Line.send, data), (lambda line, _: line.wait(), b""))


def kept_open(data: bytes) -> Play:
    """Answer each request of a connection."""

    def play(line: Line) -> None:
        while line.read_request():
            line.send(data)

    return play


def before_the_request(line: Line) -> None:
    line.send(answer(b"200 OK", HTML, IN_HTML))
    line.read_request()


def to_anything(line: Line) -> None:
    """Answer in plain HTTP what may be no HTTP."""
    line.socket.recv(1)
    line.send(answer(b"400 Bad Request", HTML, IN_HTML))


def cut_by_reset(line: Line) -> None:
    line.read_request()
    line.send(CUT)
    line.reset()


def to_itself(line: Line) -> None:
    line.read_request()
    line.send(moved(b"http://127.0.0.1:%d/api/webhook/cli" % line.server.port))


def moved(target: bytes) -> bytes:
    return answer(b"307 Temporary Redirect", b"", b"Location: " + target)


@cache
def tls_context() -> tuple[ssl.SSLContext, str]:
    """A server's context, and its certificate."""
    with tempfile.TemporaryDirectory() as folder:
        files = self_signed(Path(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["certfile"], files["keyfile"])
        return context, Path(files["certfile"]).read_text()


def tls_server(line: Line) -> None:
    """A server on which nothing comes of plain HTTP."""
    line.server.note(line.socket.recv(4, socket.MSG_PEEK).partition(b" ")[0])
    with tls_context()[0].wrap_socket(line.socket, server_side=True) as secured:
        secured.recv(1)


def portal_with_tls(line: Line) -> None:
    with tls_context()[0].wrap_socket(line.socket, server_side=True) as secured:
        while secured.recv(2**16):
            secured.sendall(answer(b"200 OK", HTML, IN_HTML))


def bomb(times: int) -> bytes:
    """An answer of a mebibyte that is a gibibyte when it is unpacked; packed again, so often."""
    packer = zlib.compressobj(9, wbits=-15)
    mebibyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = b"\x1f\x8b\x08" + bytes(7) + mebibyte * 1_024
    for _ in range(1, times):
        packed = gzip.compress(packed)
    return answer(b"200 OK", packed, JSON, b"Content-Encoding: " + b", ".join([b"gzip"] * times))


def rows() -> dict[str, Row]:
    chunks = answer(b"200 OK", b"", JSON, CHUNKED)
    stream = answer(b"200 OK", b"", SSE, CHUNKED)
    message = b'event: update\nid: 7\ndata: {"n":1}\n\n' * 1_000
    update = b"%x\r\n%b\r\n" % (len(message), message)
    long_field = b"X: " + b"x" * 5_000
    dozen = b"X: " + b"x" * 10 * 2**20
    upgraded = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    evil = b"Content-Type: text/\x9b31m\xe2\x80\xae"
    return {
        # slow
        "nothing": Row(silent(b""), SLOW, True),
        "a head byte by byte": Row(dripping(b"HTTP/1.1 200 OK\r\n", long_field), SLOW, True),
        "a body byte by byte": Row(dripping(chunks, b"1\r\nx\r\n" * 500), SLOW, True),
        "interim answers now and then": Row(
            dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), SLOW, True
        ),
        "an answer that stops": Row(silent(CUT), SLOW, True),
        # without end
        "interim answers without end": Row(endless(b"", INTERIM), NO_END),
        "a body without end": Row(
            endless(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", HTML * 2_000), PAGE
        ),
        "chunks without end": Row(endless(chunks, b"10000\r\n" + b"x" * 2**16 + b"\r\n"), "200 OK"),
        "chunks of one byte without end": Row(
            endless(chunks, b"1;" + b"x" * 5_000 + b"\r\nx\r\n"), NO_END
        ),
        "headers without end": Row(endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100), NO_HEAD),
        "a header of ten mebibytes": Row(once(answer(b"200 OK", RECEIPT, JSON, dozen)), NO_HEAD),
        "a gzip bomb": Row(once(bomb(1)), "(application/json, gzip)"),
        "a gzip bomb packed twice": Row(once(bomb(2)), "(application/json, gzip, gzip)"),
        # broken
        "plain text that is said to be gzip": Row(
            once(answer(b"200 OK", RECEIPT, JSON, GZIP)), "(application/json, gzip)"
        ),
        "a body that is cut": Row(
            once(answer(b"200 OK", RECEIPT, JSON, b"Content-Length: 500")), LOST, True
        ),
        "a body that is longer than it says": Row(
            once(answer(b"200 OK", RECEIPT, JSON, b"Content-Length: 9")), "(application/json)"
        ),
        "two lengths": Row(
            once(answer(b"200 OK", RECEIPT, JSON, b"Content-Length: 1", b"Content-Length: 2")),
            NO_HEAD,
        ),
        "a length that is none": Row(
            once(answer(b"200 OK", RECEIPT, JSON, b"Content-Length: -1")), NO_HEAD
        ),
        "chunks that are none": Row(once(chunks + b"<html>\r\n"), LOST, True),
        "a status that is none": Row(once(answer(b"9 Odd", HTML, IN_HTML)), NO_HEAD),
        "a head that is cut": Row(once(CUT), LOST, True),
        "a head that is cut by a reset": Row(cut_by_reset, LOST, True),
        "an end at once": Row(once(b""), LOST, True),
        # no HTTP
        "a page without a head": Row(once(HTML), NO_HTTP),
        "a greeting of ssh": Row(silent(b"SSH-2.0-OpenSSH_9.9\r\n"), NO_HTTP),
        "noise": Row(silent(b"\x00\xff\x1b]0;x\x07\r\n\r\n"), NO_HTTP),
        "an alert of TLS": Row(once(TLS_ALERT), TLS),
        "a server of TLS": Row(tls_server, LOST, True),
        # another program
        "a login portal": Row(kept_open(answer(b"200 OK", HTML, IN_HTML)), PAGE),
        "closed after each answer": Row(
            once(answer(b"200 OK", HTML, IN_HTML, b"Connection: close")), PAGE
        ),
        "before the request": Row(before_the_request, PAGE),
        "two answers to one request": Row(
            kept_open(answer(b"200 OK", HTML, IN_HTML) + answer(b"200 OK", RECEIPT, JSON)), PAGE
        ),
        "another stream": Row(endless(stream, update), "200 OK (text/event-stream)"),
        "control characters": Row(once(answer(b"200 \x1b]0;x\x07", HTML, evil)), "text/31m"),
        "no content": Row(once(answer(b"204 No Content", b"")), "204 No Content"),
        "reset content": Row(once(answer(b"205 Reset Content", b"")), "205 Reset Content"),
        "not modified": Row(once(answer(b"304 Not Modified", b"")), "304 Not Modified"),
        "switched protocols": Row(once(upgraded), NO_HEAD),
        "a redirect to itself": Row(to_itself, "It redirects to http://127.0.0.1:"),
        "a redirect to another scheme": Row(
            once(moved(b"https://127.0.0.1:9/")), "It redirects to https://127.0.0.1:9/"
        ),
        "a redirect to nowhere": Row(once(moved(b"http://[bad/")), "It redirects to http://[bad/"),
    }


ROWS = rows()
