"""HTTP, WebSocket and SSE of a client, without I/O and without libraries.

It parses only what the measured servers send: unmasked frames, whole messages or fragments of them,
and responses with a length or in chunks.
"""

import base64
import os
import re
from collections.abc import Iterable, Iterator, Sequence

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")
_CLOSE = re.compile(rb"(?i)\r\nconnection: *close\r\n")

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
FIRST_PART, PART, LAST_PART = 0x01, 0x00, 0x80  # of a message in fragments


class Malformed(Exception):
    """The bytes are not valid for a server to send."""


def head(method: str, path: str, port: int, headers: Sequence[str]) -> bytes:
    """A request's head without the final empty line, so that headers can be added."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, ""]
    return "\r\n".join(lines).encode()


def get(path: str, port: int, headers: Sequence[str]) -> bytes:
    return head("GET", path, port, headers) + b"\r\n"


def upgrade(path: str, port: int, headers: Sequence[str]) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    ours = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    return get(path, port, [*ours, f"Sec-WebSocket-Key: {key}", *headers])


def masked(opcode: int, payload: bytes = b"") -> bytes:
    """A client's frame; the mask is zero, which leaves the payload unchanged."""
    return bytes([opcode, 0x80 | len(payload)]) + bytes(4) + payload


def answer(data: bytes) -> tuple[int, int, bool] | None:
    """A complete response's status, length, and whether it is the last; None if incomplete."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return None
    status, last = int(data[9:12]), _CLOSE.search(data, 0, end) is not None
    if found := _LENGTH.search(data, 0, end):
        length = end + int(found[1])
        return (status, length, last) if len(data) >= length else None
    if _CHUNKED.search(data, 0, end):
        chunk = data.find(
            b"0\r\n\r\n", end
        )  # responses to posts are short: one chunk and the last one
        return (status, chunk + 5, last) if chunk >= 0 else None
    return status, end, last


def frames(data: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Each complete frame's first byte, and the start and end of its payload."""
    at, size = 0, len(data)
    while at + 2 <= size:
        first, length, start = data[at], data[at + 1], at + 2
        if length >= 126:
            wide = {126: 2, 127: 8}.get(length)
            if wide is None:
                raise Malformed("a masked frame")
            start += wide
            length = int.from_bytes(data[at + 2 : start], "big")
        if (at := start + length) <= size and start <= size:
            yield first, start, at


def messages(data: bytes | bytearray) -> Iterator[tuple[bytes | bytearray, int]]:
    """Each complete WebSocket text message, and where in the data it ends. Raises Malformed."""
    parts: list[bytes | bytearray] = []  # of a message in fragments
    for first, start, end in frames(data):
        if first == TEXT and not parts:
            yield data[start:end], end
        elif (first == FIRST_PART and not parts) or (first in (PART, LAST_PART) and parts):
            parts.append(data[start:end])
            if first == LAST_PART:
                yield b"".join(parts), end
                parts = []
        elif first not in (CLOSE, PING, PONG):
            raise Malformed(f"a frame that starts with {first:#x}")


def unchunked(data: bytes | bytearray) -> bytes:
    """The content of the complete chunks so far. Raises Malformed."""
    parts, at = [], 0
    while (line := data.find(b"\r\n", at)) >= 0:
        try:
            length = int(data[at:line], 16)
        except ValueError:
            raise Malformed(f"a chunk of length {bytes(data[at:line])!r}") from None
        at = line + 2 + length + 2
        if at > len(data):
            break
        parts.append(bytes(data[line + 2 : at - 2]))
    return b"".join(parts)


def blocks(content: bytes) -> Iterable[bytes]:
    """The complete blocks of an event stream."""
    return content.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]
