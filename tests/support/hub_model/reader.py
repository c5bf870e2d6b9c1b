"""A connection of the model: its transport writes to a list, behind a gate."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import trio

from relay.auth.revocations import RevocationKnowledge
from relay.realtime.backplane import LocalBackplane
from relay.realtime.batch import Batch
from relay.realtime.close_codes import Close
from relay.realtime.event_range import EventRange
from relay.realtime.hub import Hub
from relay.realtime.resume import Start
from relay.realtime.stream_connection import Viewer, find_start, run_connection
from tests.support.hub_events import EPOCH, a_credential
from tests.support.hub_model.journal import FakeJournal, Gate


class FakeTransport:
    """Writes what it is given when its gate lets it, one write at a time."""

    name = "model"
    heartbeat = 25.0

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick  # whether it can write at once
        self.gate = Gate()
        self.seen: list[tuple[int, bytes] | tuple[str, dict[str, Any]]] = []  # seqs and texts
        self.handed = 0  # events that it was given to write
        self.writing = False
        self.closed: Close | None = None

    def try_write(self, batch: Batch) -> bool:
        assert not self.writing, "overtook a write under way"
        if self.quick and not self.gate.shut:
            self.handed += len(batch.events)
            self.seen += [(event.seq, event.json) for event in batch.events]
            return True
        return False

    async def _write(self, *what: tuple[int, bytes] | tuple[str, dict[str, Any]]) -> None:
        assert not self.writing
        self.writing = True
        try:
            await self.gate.passed()
            await trio.lowlevel.checkpoint()
            self.seen += what
        finally:
            self.writing = False

    async def send(self, stretch: EventRange) -> None:
        self.handed += len(stretch.texts)
        await self._write(*enumerate(stretch.texts, stretch.first))

    async def send_control(self, kind: str, **fields: Any) -> None:
        await self._write((kind, fields))

    async def send_message(self, kind: str, body: bytes) -> None:
        raise AssertionError("nobody asked for tasks")

    def next_heartbeat_at(self) -> float:
        return float("inf")

    async def send_heartbeat(self) -> None:
        raise AssertionError("nobody asked for a sign of life")

    def idle_deadline(self) -> float:
        return float("inf")

    def listen(self, end: Callable[[Close], None], nursery: trio.Nursery) -> None:
        """No message is sent."""

    async def close(self, close: Close, *_reason: str) -> None:
        self.closed = close

    def abort(self) -> Close:
        self.closed = self.closed or Close.GONE
        return Close.GONE


class Reader:
    """One connection, and what it must have seen."""

    def __init__(self, user: UUID, credential: UUID, address: str, *, quick: bool) -> None:
        self.user = user
        self.credential = credential
        self.address = address
        self.transport = FakeTransport(quick=quick)
        self.scope = trio.CancelScope()
        self.first = 0  # the first seq it has not seen
        self.gone = False

    async def live(
        self, hub: Hub, revocations: RevocationKnowledge, journal: FakeJournal, start: Start
    ) -> None:
        credential = a_credential(self.user, self.credential)
        with self.scope, hub.subscribe(self.user, self.credential, self.address) as inbox:
            backplane = LocalBackplane(hub)
            position = await find_start(inbox, start, backplane, journal)  # type: ignore[arg-type]
            self.first = position.seq + 1
            if position.gap is not None:
                self.first = position.gap.first
            await run_connection(
                self.transport,
                inbox,
                Viewer(credential, None, revocations),
                position,
                journal,  # type: ignore[arg-type]
            )
        self.gone = True

    def covered(self) -> int:
        """Check everything it saw; returns the last seq it knows of."""
        greeting, *seen = self.transport.seen or [("hello", {})]
        assert greeting[0] == "hello"
        following = self.first
        for one in seen:
            if isinstance(one[1], bytes):
                assert one[0] == following
                assert str(self.user).encode() in one[1]
                following += 1
            elif one[0] == "gap":
                assert one[1]["from"] == following
                assert one[1]["cursor"] == f"{EPOCH}.{one[1]['to']}"
                following = one[1]["to"] + 1
            else:
                assert one[0] == "close"
                assert one is seen[-1]
        return following - 1
