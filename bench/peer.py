"""A peer: how it is started, its endpoints, and what it does not do."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench import wire
from bench.machine import SERVER_CORES
from bench.processes import Program


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one user posts and watches. The query `missed` requests all stored events."""

    port: int
    post: str = "/api/webhook/cli"
    ws: str = "/api/rt"
    sse: str = "/api/sse"
    query: str = ""
    headers: tuple[str, ...] = ()
    missed: str = ""

    def post_head(self, content_type: str, client: Sequence[str] = ()) -> bytes:
        """The head of a POST, without its length; `client` are the headers of its client."""
        path = _with(self.post, self.query)
        headers = [*self.headers, f"Content-Type: {content_type}", *client]
        return wire.head("POST", path, self.port, headers)

    def stream_request(self, kind: str, *, missed: bool = False) -> bytes:
        query = "&".join(part for part in (self.query, self.missed if missed else "") if part)
        if kind == "ws":
            return wire.upgrade(_with(self.ws, query), self.port, self.headers)
        headers = [*self.headers, "Accept: text/event-stream"]
        return wire.get(_with(self.sse, query), self.port, headers)


def _with(path: str, query: str) -> str:
    return path + ("&" if "?" in path else "?") + query if query else path


@dataclass(frozen=True, slots=True)
class PeerInstance:
    """A running peer. `endpoints(count, posting)` creates users, with one endpoint each."""

    program: Program
    endpoints: Callable[[int, bool], list[Endpoint]]


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a workload starts its peer. Only Relay uses `environ`."""

    workers: int = 1
    cores: frozenset[int] = SERVER_CORES
    environ: Mapping[str, str] = field(default_factory=dict)


Start = Callable[[StartOptions], AbstractContextManager[PeerInstance]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    name: str
    title: str
    start: Start
    streams: tuple[str, ...] = ("ws", "sse")
    batches: bool = True
    resumes: bool = False
    multi_process: bool = False  # whether several processes of it serve the same users
    greeting: bytes = b""  # what its protocol requires clients to send first
    durable: bool = False
    checkout: Path | None = None  # Relay only: the checkout with its other commands
    limitations: str = ""  # what Relay does and it does not
