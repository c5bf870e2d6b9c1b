"""A peer: how it is started, its endpoints, and what it does not do."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench import wire
from bench.certificates import Certificate
from bench.machine import SERVER_CORES
from bench.processes import Program
from bench.shapes import Compose, compose_lines


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one user posts and watches. The query `missed` requests all stored events.

    `post_port` is set where posts have a port of their own, which has no TLS. `compose` makes their
    bodies, by the kind of the user's streams.
    """

    port: int
    post: str = "/api/webhook/cli"
    ws: str = "/api/rt"
    sse: str = "/api/sse"
    query: str = ""
    stream_query: str = ""  # of streams, besides `query`
    headers: tuple[str, ...] = ()
    missed: str = ""
    post_port: int | None = None
    compose: Mapping[str, Compose] = field(default_factory=dict)

    def post_head(self, content_type: str, client: Sequence[str] = ()) -> bytes:
        """The head of a POST, without its length; `client` are the headers of its client."""
        path = _with(self.post, self.query)
        headers = [*self.headers, f"Content-Type: {content_type}", *client]
        return wire.head("POST", path, self.posts_to, headers)

    def get_request(self, path: str, client: Sequence[str] = ()) -> bytes:
        """A GET of this path. `client` are the headers of its client."""
        return wire.get(path, self.port, [*self.headers, *client])

    @property
    def posts_to(self) -> int:
        """The port for posts."""
        return self.post_port or self.port

    def composed_for(self, kind: str) -> Compose:
        """How a post's body is made of events that streams of this kind are to get."""
        return self.compose.get(kind, compose_lines)

    def stream_request(self, kind: str, *, missed: bool = False) -> bytes:
        parts = (self.query, self.stream_query, self.missed if missed else "")
        query = "&".join(part for part in parts if part)
        if kind == "ws":
            return wire.upgrade(_with(self.ws, query), self.port, self.headers)
        headers = [*self.headers, "Accept: text/event-stream"]
        return wire.get(_with(self.sse, query), self.port, headers)


def _with(path: str, query: str) -> str:
    return path + ("&" if "?" in path else "?") + query if query else path


@dataclass(frozen=True, slots=True)
class PeerInstance:
    """A running peer. `endpoints(count, posting)` creates users, with one endpoint each.

    With `tls`, its clients connect over TLS.
    """

    program: Program
    endpoints: Callable[[int, bool], list[Endpoint]]
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a workload starts its peer. Only Relay uses the last three.

    `tasks`: streams ask for the user's tasks, too. `channels`: each user that posts has a channel.
    """

    workers: int = 1
    cores: frozenset[int] = SERVER_CORES
    certificate: Certificate | None = None
    tasks: bool = False
    channels: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What a client connects with."""
        return self.certificate.client_context() if self.certificate else None


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
    quiet_clients: bool = False  # its idle WebSockets stay open without a sign of life
    durable: bool = False
    checkout: Path | None = None  # Relay only: the checkout with its other commands
    limitations: str = ""  # what Relay does and it does not

    @property
    def is_relay(self) -> bool:
        """Whether this is Relay, of whichever commit and with whichever settings."""
        return self.checkout is not None
