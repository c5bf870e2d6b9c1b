"""What a peer is: how it is started, where its doors are, and what it does not do."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench import wire
from bench.machine import SERVER_CORES
from bench.processes import Program


@dataclass(frozen=True, slots=True)
class Door:
    """Where one user's events go in and come out. `missed` asks for all that are stored."""

    port: int
    post: str = "/api/webhook/cli"
    ws: str = "/api/rt"
    sse: str = "/api/sse"
    query: str = ""
    headers: tuple[str, ...] = ()
    missed: str = ""

    def posting(self, content_type: str) -> bytes:
        path = _with(self.post, self.query)
        return wire.head("POST", path, self.port, [*self.headers, f"Content-Type: {content_type}"])

    def watching(self, kind: str, *, missed: bool = False) -> bytes:
        query = "&".join(part for part in (self.query, self.missed if missed else "") if part)
        if kind == "ws":
            return wire.upgrade(_with(self.ws, query), self.port, self.headers)
        headers = [*self.headers, "Accept: text/event-stream"]
        return wire.get(_with(self.sse, query), self.port, headers)


def _with(path: str, query: str) -> str:
    return path + ("&" if "?" in path else "?") + query if query else path


@dataclass(frozen=True, slots=True)
class Scene:
    """A peer that runs. `doors(count, posting)` makes so many users and tells their doors."""

    program: Program
    doors: Callable[[int, bool], list[Door]]


@dataclass(frozen=True, slots=True)
class Ask:
    """How a workload wants its peer started. `environ` is for Relay."""

    workers: int = 1
    cores: frozenset[int] = SERVER_CORES
    environ: Mapping[str, str] = field(default_factory=dict)


Start = Callable[[Ask], AbstractContextManager[Scene]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    name: str
    title: str
    start: Start
    streams: tuple[str, ...] = ("ws", "sse")
    batches: bool = True
    resumes: bool = False
    several: bool = False  # whether two processes of it serve the same users
    greeting: bytes = b""  # what its clients say first
    durable: bool = False
    checkout: Path | None = None  # of Relay: where its other commands are
    lacks: str = ""  # of what Relay does, in words
