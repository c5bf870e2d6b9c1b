"""A load generator for loopback: keep-alive POSTs as fast as the answers come.

It writes requests as ready bytes and reads answers by their Content-Length, on asyncio protocols
without any HTTP library, so that it costs a fraction of what it measures.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Body = Callable[[int], bytes]


@dataclass
class Result:
    """What came of a run: `latencies` in seconds, one an answer."""

    seconds: float
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return sum(self.statuses.values()) / self.seconds

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Poster(asyncio.Protocol):
    """One keep-alive connection: the next request leaves when the last answer is in."""

    def __init__(self, run: "_Run", head: bytes) -> None:
        self.run = run
        self.head = head
        self.buffer = b""
        self.sent_at = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.post()

    def post(self) -> None:
        assert self.transport is not None
        number = self.run.take()
        if number is None:
            self.transport.close()
            return
        body = self.run.body(number)
        self.sent_at = time.perf_counter()
        self.transport.write(self.head + b"%d\r\n\r\n" % len(body) + body)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0])
        if len(rest) < length:
            return
        self.run.answered(int(head[9:12]), time.perf_counter() - self.sent_at)
        self.buffer = rest[length:]
        self.post()

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.left(exc)


class _Run:
    def __init__(self, body: Body, seconds: float, connections: int) -> None:
        self.body = body
        self.until = time.perf_counter() + seconds
        self.number = 0
        self.open = connections
        self.result = Result(seconds)
        self.over = asyncio.Event()

    def take(self) -> int | None:
        if time.perf_counter() >= self.until:
            return None
        self.number += 1
        return self.number

    def answered(self, status: int, latency: float) -> None:
        self.result.statuses[status] = self.result.statuses.get(status, 0) + 1
        self.result.latencies.append(latency)

    def left(self, error: Exception | None) -> None:
        if error is not None:
            raise error
        self.open -= 1
        if not self.open:
            self.over.set()


async def post_for(
    seconds: float,
    port: int,
    path: str,
    headers: list[dict[str, str]],
    body: Body,
    connections: int = 16,
) -> Result:
    """POST `body(n)` over so many connections, each with its own of the `headers` in turn."""
    run = _Run(body, seconds, connections)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for index in range(connections):
        lines = "".join(f"{k}: {v}\r\n" for k, v in headers[index % len(headers)].items())
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{lines}Content-Length: ".encode()
        await loop.create_connection(lambda head=head: _Poster(run, head), "127.0.0.1", port)
    await run.over.wait()
    run.result.seconds = time.perf_counter() - started
    return run.result
