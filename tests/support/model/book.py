"""What the model knows of users, credentials and events; every fact was acknowledged.

Where a clock decides (an expiry, a trim), the book knows bounds and takes whatever lies within.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from tests.support.model.messages import Message

CLOCKS = 0.002  # seconds: times on the wire are cut to milliseconds
TICKET_LIFE = 30.0  # seconds


class Standing(Enum):
    LIVE = "live"
    GONE = "gone"
    EITHER = "live or gone"  # it ended during the request


@dataclass(eq=False)
class Credential:
    """A session (without scopes) or a hook token."""

    user: "User"
    token: str = field(repr=False)
    token_id: str = field(repr=False)
    scopes: tuple[str, ...]
    expires_at: float
    revoked_at: float | None = None

    @property
    def is_session(self) -> bool:
        return not self.scopes

    @property
    def may_publish(self) -> bool:
        return "webhook" in self.scopes or "publish" in self.scopes

    @property
    def may_watch(self) -> bool:
        return self.is_session or "webhook" in self.scopes or "watch" in self.scopes

    @property
    def over_at(self) -> float:
        """When it ends, or ended."""
        return min(self.expires_at, self.revoked_at or self.expires_at)

    def standing(self, since: float, until: float) -> Standing:
        """What it was between two moments; a revoke counts from its acknowledgement."""
        if self.over_at <= since:
            return Standing.GONE
        return Standing.LIVE if until < self.over_at else Standing.EITHER


@dataclass(eq=False)
class Ticket:
    """A ticket; `credential` is its minter's, None where it was never issued."""

    text: str = field(repr=False)
    credential: Credential | None
    minted_at: float
    spent: bool = False

    def standing(self, since: float, until: float) -> Standing:
        if self.credential is None or self.spent:
            return Standing.GONE
        if until >= self.minted_at + TICKET_LIFE:
            return Standing.EITHER
        return self.credential.standing(since, until)


@dataclass
class Event:
    """One stored event; `id` is None until an answer or a stream had Relay's name for it."""

    seq: int
    id: str | None
    event_type: str
    task_id: str | None
    ts: str
    payload: str  # as it must be seen
    posted: tuple[float, float]  # asked and answered

    def check(self, message: Message, epoch: str) -> None:
        """That this is what a reader was sent."""
        names = {"id", "seq", "cursor", "event_type", "ts", "received_at", "payload"}
        if self.task_id is not None:
            names.add("task_id")
        assert set(message.fields) == names, f"fields {set(message.fields)}"
        if self.id is None:
            self.id = message["id"]
        seen = (message["id"], message["seq"], message["cursor"])
        assert seen == (self.id, self.seq, f"{epoch}.{self.seq}"), f"{message} is not {self}"
        found = (message["event_type"], message["task_id"], message["ts"])
        assert found == (self.event_type, self.task_id, self.ts), f"{message} is not {self}"
        assert message.text("payload") == self.payload, f"{message}: another payload"
        received_at = datetime.fromisoformat(message["received_at"]).timestamp()
        assert self.posted[0] - CLOCKS <= received_at <= self.posted[1], "received at another time"


class User:
    """One stream and everything that was acknowledged of it."""

    def __init__(self, name: str, user_id: str, retention: int) -> None:
        self.name = name
        self.user_id = user_id
        self.epoch = ""
        self.retention = retention
        self.session: Credential
        self.hooks: list[Credential] = []
        self.events: list[Event] = []
        self.known: dict[str, Event] = {}
        self.floor = 1  # the highest oldest seq in any answer

    def __repr__(self) -> str:
        return self.name

    @property
    def last(self) -> int:
        return len(self.events)

    def oldest_at_most(self, last: int | None = None) -> int:
        """How far a stream of so many events may be trimmed, and no further."""
        return max(1, (self.last if last is None else last) - self.retention + 1)

    def learn_oldest(self, oldest: int, at_least: int) -> None:
        """It never goes back; `at_least` is what it was when it was asked for."""
        assert at_least <= oldest <= self.oldest_at_most(), (
            f"{self}: the oldest is said to be {oldest}; it was {at_least}"
            f" and may be {self.oldest_at_most()}"
        )
        self.floor = max(self.floor, oldest)

    def learn_epoch(self, cursor: str) -> int:
        """Its seq; the epoch is the one there always was."""
        epoch, _, seq = cursor.partition(".")
        self.epoch = self.epoch or epoch
        assert epoch == self.epoch, f"{self}: the epoch changed from {self.epoch} to {epoch}"
        return int(seq)

    def store(self, event: Event) -> None:
        assert event.seq == self.last + 1, f"{self}: {event.seq} was given after {self.last}"
        self.events.append(event)
        if event.id is not None:
            assert event.id not in self.known, f"{self}: {event.id} was stored twice"
            self.known[event.id] = event

    def event(self, seq: int, message: Message) -> Event:
        """The event a reader says it was sent."""
        assert 1 <= seq <= self.last, f"{self} was sent {message} and has {self.last} events"
        event = self.events[seq - 1]
        event.check(message, self.epoch)
        if event.id is not None:
            assert self.known.setdefault(event.id, event) is event, f"{event.id} stands twice"
        return event


@dataclass(frozen=True)
class Where:
    """Where a reader goes on (the seq just before its first event), and its greeting."""

    seq: int
    resumed: bool = False
    reason: str | None = None
    gap: tuple[int, int] | None = None


@dataclass(frozen=True)
class Asked:
    """A start as it goes over the wire, and what it means. `bad`: the code it is refused with."""

    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    cursor: tuple[str, int] | None = None
    oldest: bool = False
    newest: int | None = None
    bad: str | None = None

    def where(self, epoch: str, oldest: int, last: int) -> Where:
        """The table of the contract."""
        if self.cursor is not None:
            asked_epoch, seq = self.cursor
            if asked_epoch != epoch:
                return Where(oldest - 1, reason="epoch")
            if seq > last:
                return Where(oldest - 1, reason="ahead")
            if seq + 1 < oldest:
                return Where(oldest - 1, resumed=True, gap=(seq + 1, oldest - 1))
            return Where(seq, resumed=True)
        if self.newest is not None:
            return Where(max(oldest - 1, last - self.newest))
        return Where(oldest - 1 if self.oldest else last)
