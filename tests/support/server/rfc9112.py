"""Requests by RFC 9112: all looseness that was ever used for smuggling, each with its answer.

A server that reads a request differently from the proxy in front can be made to read another one.
"""

from tests.support.server.stage import get


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
