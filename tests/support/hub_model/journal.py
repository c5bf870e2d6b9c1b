"""The journal of the model: a list of events a user, behind a gate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import trio

from relay.db.pages import EventPage, StoredEvent
from relay.errors import DatabaseAway
from relay.events import Event, StreamHead, utc_now
from relay.realtime.encoding import event_json
from tests.support.hub_events import EPOCH

PAGE = 7  # events of one read: small, so that catching up takes several
MOST_READS = 100_000  # of one run: a connection that would read for ever is ended


@dataclass
class Stream:
    """What the model knows of one user: the log, and the last seq that was announced."""

    log: list[Event] = field(default_factory=list)
    oldest: int = 1
    announced: int = 0
    epoch: str = EPOCH

    @property
    def last(self) -> int:
        return len(self.log)

    @property
    def head(self) -> StreamHead:
        return StreamHead(self.epoch, self.oldest, self.last)


class Gate:
    """Open or shut; a task that comes while it is shut waits."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()

    @property
    def shut(self) -> bool:
        return not self._open.is_set()

    def turn(self) -> None:
        if self.shut:
            self._open.set()
        else:
            self._open = trio.Event()

    async def passed(self) -> None:
        await self._open.wait()


class FakeJournal:
    """The streams as the connection reads them: a snapshot, then whatever time it takes."""

    now = staticmethod(utc_now)

    def __init__(self, streams: dict[UUID, Stream]) -> None:
        self.streams = streams
        self.gate = Gate()
        self.away = False
        self.reads = 0

    async def head(self, user_id: UUID) -> StreamHead:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise DatabaseAway()
        head = self.streams[user_id].head
        await self.gate.passed()
        await trio.lowlevel.checkpoint()
        return head

    def is_storing(self, _user_id: UUID) -> bool:
        return False

    async def heads(self, user_ids: list[UUID]) -> dict[UUID, StreamHead]:
        return {user: await self.head(user) for user in user_ids}

    async def read_many(self, after: Mapping[UUID, int]) -> dict[UUID, list[StoredEvent]]:
        pages = {user: await self.read(user, seq) for user, seq in after.items()}
        return {
            user: [
                StoredEvent(EPOCH, seq, text, utc_now())
                for seq, text in enumerate(page.texts, page.first)
            ]
            for user, page in pages.items()
            if page.texts
        }

    async def read(self, user_id: UUID, after: int) -> EventPage:
        await trio.lowlevel.checkpoint()
        self.reads += 1
        assert self.reads < MOST_READS, "reads for ever"
        if self.away:
            raise DatabaseAway()
        stream = self.streams[user_id]
        stored = [event for event in stream.log[after:] if event.seq >= stream.oldest][:PAGE]
        first = stored[0].seq if stored else 0
        page = EventPage(stream.head, first, [event_json(event) for event in stored])
        await self.gate.passed()
        await trio.lowlevel.checkpoint()
        return page
