"""What Hypothesis draws: starts, events, batches."""

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support.model.book import Asked, User

POOL = [f"e{n}" for n in range(6)]  # ids that every user uses: known here is new there
TYPES = ["task_started", "task_progress", "task_succeeded", "task_failed", "log"]
PAYLOADS = [
    "{}",
    "null",
    '"text"',
    "[1, 2.50, 1e5, 12345678901234567890]",
    '{"twice": 1, "twice": 2}',
    '{"nul": "\\u0000", "escaped": "\\u00e9\\n"}',
    '"é 漢 😀 \u2028"',
    '{"lines":\r1,\t"more" : [ ] }',
]
MALFORMED = [
    "",
    "7",
    "x.y",
    "Ä.1",
    ".1",
    "abc.",
    "abc.-1",
    "abc.01",
    "a.1.2",
    "newest",
    f"a.{2**63}",
]


@dataclass(frozen=True)
class Start:
    """Where to start; `number` chooses among what there is of its kind."""

    kind: str
    number: int = 0
    spelt: str = "after"

    def asked(self, user: User, other: User | None, transport: str) -> Asked:
        match self.kind:
            case "nowhere":
                return Asked()
            case "oldest":
                return Asked({"after": "oldest"}, oldest=True)
            case "newest":
                return Asked({"last": str(self.number)}, newest=self.number)
            case "own":
                seq = self.number % (user.last + 1)
                return spelt(self.spelt, user.epoch, seq, transport)
            case "end":
                return spelt(self.spelt, user.epoch, user.last, transport)
            case "edge":
                return spelt(self.spelt, user.epoch, max(0, user.floor - self.number), transport)
            case "ahead":
                return spelt(self.spelt, user.epoch, user.last + 1 + self.number, transport)
            case "foreign":
                epoch = "0" * 20 if other is None else other.epoch
                return spelt(self.spelt, epoch, self.number, transport)
            case "malformed":
                text = MALFORMED[self.number % len(MALFORMED)]
                return Asked({"after": text}, bad="bad_cursor" if text else "bad_request")
            case "no number":
                text = ["0", "1001", "-1", "x", ""][self.number % 5]
                return Asked({"last": text}, bad="bad_request")
        return Asked({"after": "oldest", "last": "3"}, bad="bad_request")


def spelt(how: str, epoch: str, seq: int, transport: str) -> Asked:
    """A cursor in one of the ways there are; what comes after it in precedence is a decoy."""
    text = f"{epoch}.{seq}"
    if how == "header" and transport == "sse":
        return Asked({"after": "oldest"}, {"Last-Event-ID": text}, cursor=(epoch, seq))
    if how == "after":
        return Asked({"after": text}, cursor=(epoch, seq))
    return Asked({"lastEventId": text, "after": "oldest"}, cursor=(epoch, seq))


SPELT = st.sampled_from(["after", "lastEventId", "header"])
STARTS = st.one_of(
    st.sampled_from([Start("nowhere"), Start("oldest")]),
    st.builds(Start, st.just("newest"), st.sampled_from([1, 3, 30, 1000])),
    st.builds(Start, st.just("own"), st.integers(0, 400), SPELT),
    st.builds(Start, st.sampled_from(["own", "end"]), st.integers(0, 20), SPELT),
    st.builds(Start, st.just("edge"), st.integers(0, 3), SPELT),
    st.builds(Start, st.sampled_from(["ahead", "foreign"]), st.integers(0, 20), SPELT),
    st.builds(
        Start, st.sampled_from(["malformed", "no number", "contradiction"]), st.integers(0, 20)
    ),
)


@dataclass(frozen=True)
class Draft:
    """An event about to be posted. `again`: the id of the earlier one with that number."""

    event_id: str | None = None
    again: int | None = None
    event_type: str = "log"
    payload: str | int = "{}"  # a number: a text of so many characters
    task: bool = False

    def named(self, user: User) -> str | None:
        """Its id; None where Relay makes one."""
        if self.again is not None and user.events:
            return user.events[self.again % user.last].id
        return self.event_id

    def line(self, event_id: str | None, task_id: str | None, ts: str) -> bytes:
        fields = {"event_type": self.event_type, "ts": ts}
        if event_id is not None:
            fields["event_id"] = event_id
        if task_id is not None:
            fields["task_id"] = task_id
        return f'{json.dumps(fields)[:-1]}, "payload": {self.text}}}'.encode()

    @property
    def text(self) -> str:
        return f'"{"x" * self.payload}"' if isinstance(self.payload, int) else self.payload

    @property
    def seen(self) -> str:
        """The payload as readers see it."""
        return self.text.replace("\r", " ").replace("\n", " ")


DRAFTS = st.one_of(
    st.builds(
        Draft,
        event_id=st.one_of(st.none(), st.sampled_from(POOL)),
        event_type=st.sampled_from(TYPES),
        payload=st.one_of(st.sampled_from([*PAYLOADS, '{"a":\n[\r\n1]}']), st.just(60_000)),
        task=st.booleans(),
    ),
    st.builds(Draft, again=st.integers(0, 400)),
)


@dataclass(frozen=True)
class Batch:
    """Lines of one request: new ones, then `repeated` ones of them, then `known` ones."""

    new: int
    repeated: int = 0
    known: int = 0
    payload: str | int = "{}"
    named: bool = True
    bad: str | None = None

    def drafts(self, user: User) -> list[Draft]:
        made = [
            Draft(
                event_id=f"{user.name}:{user.last}:{n}" if self.named else None,
                payload=self.payload if n < 15 else "{}",  # together within 1 MiB
                task=n % 2 == 0,
            )
            for n in range(self.new)
        ]
        made += made[: self.repeated] if self.named else []
        known = [user.events[-1 - n * 7 % user.last].id for n in range(self.known) if user.events]
        return made + [Draft(event_id=event_id) for event_id in known if event_id is not None]


BAD_LINES = {
    "no JSON": b"{",
    "no ts": b'{"event_type": "log", "payload": 1}',
    "unknown field": b'{"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": 1, "x": 1}',
    "broken UTF-8": b'{"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": "\xff"}',
}
BATCHES = st.one_of(
    st.builds(
        Batch,
        new=st.sampled_from([1, 5, 20, 60]),
        repeated=st.integers(0, 3),
        known=st.integers(0, 4),
        payload=st.sampled_from(PAYLOADS),
        named=st.booleans(),
        bad=st.one_of(st.none(), st.none(), st.sampled_from(sorted(BAD_LINES))),
    ),
    st.builds(Batch, new=st.just(300), repeated=st.integers(0, 2)),
    st.builds(Batch, new=st.sampled_from([15, 40]), payload=st.just(60_000)),
    st.builds(Batch, new=st.just(0), known=st.integers(1, 4)),
)
