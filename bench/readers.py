"""WebSocket readers for loopback: they keep the bytes, which are checked afterwards."""

import asyncio
import base64
import json
import os
import struct
import time
from collections.abc import Iterator


class Reader(asyncio.Protocol):
    """One WebSocket that never speaks, but for the pongs a bench is too short to need."""

    def __init__(self, port: int, token: str, query: str = "") -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._request = (
            f"GET /api/rt{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()
        self.data = bytearray()
        self.open = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self.open.is_set():
            self.data += data
            return
        self.data += data
        head, separator, rest = bytes(self.data).partition(b"\r\n\r\n")
        if separator:
            assert head.startswith(b"HTTP/1.1 101"), head
            self.data = bytearray(rest)
            self.open.set()

    def seqs(self) -> list[int]:
        """The seqs of the events that came, in order."""
        return [seq for seq, _ in self.placed()]

    def placed(self) -> Iterator[tuple[int, int]]:
        """Each event's seq, and where in `data` it ends."""
        at = 0
        while at < len(self.data):
            length, start = self.data[at + 1] & 127, at + 2
            if length == 126:
                (length,) = struct.unpack_from("!H", self.data, start)
                start += 2
            elif length == 127:
                (length,) = struct.unpack_from("!Q", self.data, start)
                start += 8
            if self.data[at] == 0x81:
                message = json.loads(self.data[start : start + length])
                if "seq" in message:
                    yield message["seq"], start + length
            at = start + length


class TimedReader(Reader):
    """Knows when each event came."""

    def __init__(self, port: int, token: str, query: str = "") -> None:
        super().__init__(port, token, query)
        self._came: list[tuple[int, float]] = []

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._came.append((len(self.data), time.perf_counter()))

    def arrivals(self) -> dict[int, float]:
        """When (perf_counter) each seq was here, whole."""
        found, came = {}, iter(self._came)
        length, when = next(came)
        for seq, end in self.placed():
            while length < end:
                length, when = next(came)
            found[seq] = when
        return found


async def open_readers(port: int, token: str, count: int, query: str = "") -> list[Reader]:
    loop = asyncio.get_running_loop()
    readers: list[Reader] = []
    for _ in range(count):
        reader = Reader(port, token, query)
        await loop.create_connection(lambda reader=reader: reader, "127.0.0.1", port)
        await reader.open.wait()
        readers.append(reader)
    return readers
