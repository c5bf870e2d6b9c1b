"""One reader: every message is checked against what the book says must come next."""

import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.support.client.blocking import SseStream, Stream, WebSocketStream
from tests.support.model.book import Asked, Credential, Standing, User
from tests.support.model.messages import Message, Messages
from tests.support.patience import PATIENCE

EARLY = 0.01  # seconds: clocks of a timer and of the day, read one after the other


@dataclass(frozen=True)
class House:
    """What a test knows of the Relay it drives."""

    port: int
    heartbeat: float
    retention: int


class Reader:
    """A stream, what was asked for, and where it must go on."""

    def __init__(
        self,
        name: str,
        house: House,
        user: User,
        credential: Credential,
        transport: str,
        asked: Asked,
        headers: dict[str, str],
        tally: Counter[str],
        *,
        narrow: bool,
        batched: bool,
        attentive: bool,
    ) -> None:
        self.name = name
        self.house = house
        self.user = user
        self.credential = credential
        self.transport = transport
        self.asked = asked
        self.narrow = narrow
        self.attentive = attentive  # reads whatever comes; others read on demand
        self.tally = tally
        self.heads = (user.last, user.last)  # where the stream's end may have been meanwhile
        self.oldest_when_asked = user.floor
        self.asked_at = time.time()
        target = f"?{urlencode(asked.query)}"
        headers = {**headers, **asked.headers}
        self.stream: Stream
        if transport == "websocket":
            offered = ("relay.v1",) if batched else ()
            self.stream = WebSocketStream(house.port, target, headers, *offered, narrow=narrow)
        else:
            self.stream = SseStream(house.port, target, headers, narrow=narrow)
        self._messages = Messages(self.stream, batched=batched)
        self.next: int | None = None  # the seq to come; None before the hello
        self.announced_gap: tuple[int, int] | None = None  # by the hello: must come at once
        self.cursor = ""
        self.closing: Message | None = None
        self.over_at: float | None = None  # when it left, or was found to have ended
        self.uncounted_at: float | None = None  # when Relay was found to count it no more

    def __repr__(self) -> str:
        kind = ("attentive " if self.attentive else "") + ("narrow " if self.narrow else "")
        return (
            f"<{self.name}: {kind}{self.transport} of {self.user}, {self.next} of {self.user.last}>"
        )

    # -- what the machine asks

    @property
    def open(self) -> bool:
        return self.next is not None and self.over_at is None

    @property
    def behind(self) -> bool:
        return self.next is not None and self.next <= self.user.last

    def counts(self, since: float, until: float) -> tuple[int, int]:
        """How often it is counted as a watcher between two moments: at least and at most."""
        if self.stream.answer is None or self.stream.answer.status not in (101, 200):
            return 0, 0
        standing = self.credential.standing(since, until)
        if self.over_at is None and standing is Standing.LIVE:
            return 1, 1
        return 0, int(self.uncounted_at is None or since < self.uncounted_at)

    # -- opening

    def await_answer(self) -> int:
        """The status of the handshake."""
        deadline = time.time() + PATIENCE
        while self.stream.answer is None:
            assert self.stream.end is None, f"{self}: cut before its handshake's end"
            assert time.time() < deadline, f"{self}: no answer to its handshake"
            self.stream.receive(0.5)
        return self.stream.answer.status

    def await_hello(self) -> None:
        self.heads = (self.heads[0], self.user.last)
        deadline = time.time() + PATIENCE
        self.look()  # it may have come with the handshake's answer
        while self.next is None and self.over_at is None:
            assert time.time() < deadline, f"{self}: no hello"
            self.read(0.5)

    # -- reading

    def read(self, within: float, most: int = 65536) -> bool:
        """Read once and look at what came; False when nothing did."""
        if self.over_at is not None:
            return False
        came = self.stream.receive(within, most)
        self.look()
        return came

    def look(self) -> None:
        for message in self._messages.take():
            self._see(message)
        if self.stream.end is not None and self.over_at is None:
            self._ended()

    def catch_up(self) -> None:
        """Read up to the last event, or to an end that is in order."""
        deadline = time.time() + PATIENCE
        while self.over_at is None and self.behind:
            assert time.time() < deadline, f"{self}: nothing more comes"
            self.read(0.5)

    def read_to_end(self) -> None:
        """Its credential is over: so is the stream."""
        deadline = time.time() + PATIENCE
        while self.over_at is None:
            assert time.time() < deadline, f"{self}: still open; {self.credential} was over"
            self.read(0.5)

    def leave(self, *, politely: bool) -> None:
        """Let go; politely means with a close handshake, whose answer comes in time."""
        if self.over_at is not None:
            return
        self.stream.leave(politely=politely)
        deadline = time.time() + PATIENCE
        while self.stream.end is None:
            assert time.time() < deadline, f"{self}: its close was not answered"
            self.stream.receive(0.5)
            for message in self._messages.take():
                self._see(message)
        self.over_at = time.time()

    # -- what may come

    def _see(self, message: Message) -> None:
        assert self.closing is None, f"{self}: {message} after its close"
        if message.is_event:
            self._see_event(message)
            return
        kind = message["type"]
        if self.transport == "sse":
            assert message.sse_name == kind, f"{message} is called {message.sse_name}"
            assert message.sse_id == message["cursor"], f"{message} has the id {message.sse_id}"
        if self.next is None:
            if kind == "close":  # it was over before it began
                self.closing = message
            else:
                assert kind == "hello", f"{self}: {message} before the hello"
                self._see_hello(message)
        elif kind == "gap":
            self._see_gap(message)
        elif kind == "close":
            self.closing = message
        else:
            assert (kind, self.transport) == ("ping", "websocket"), f"{self}: {message}"

    def _see_hello(self, message: Message) -> None:
        user = self.user
        seq, oldest = user.learn_epoch(message["cursor"]), message["oldest"]
        user.learn_oldest(oldest, self.oldest_when_asked)
        greeting = (seq, message["resumed"], message["reason"])
        lo, hi = self.heads
        right = [
            where
            for where in (self.asked.where(user.epoch, oldest, last) for last in range(lo, hi + 1))
            if (where.seq, where.resumed, where.reason) == greeting
        ]
        assert right, f"{self}: asked for {self.asked}, last was {lo} to {hi}: {message}"
        self.announced_gap = right[0].gap
        self.next = seq + 1 if self.announced_gap is None else self.announced_gap[0]
        self.cursor = message["cursor"]
        assert message["heartbeat_s"] == self.house.heartbeat, f"{message}"
        if not self.credential.is_session:  # those slide
            most = max(0, self.credential.expires_at - self.asked_at)
            least = max(0, self.credential.expires_at - time.time() - 1)  # in whole seconds
            assert least <= message["token_ttl_s"] <= most, f"{message}"
        outcome = right[0].reason or ("resumed" if right[0].resumed else "fresh")
        self.tally[f"hello: {'gap' if self.announced_gap else outcome}"] += 1

    def _see_gap(self, message: Message) -> None:
        first, last = message["from"], message["to"]
        assert self.announced_gap in (None, (first, last)), f"{self}: {message}"
        assert first == self.next, f"{self}: {message}"
        assert message["cursor"] == f"{self.user.epoch}.{last}", f"{self}: {message}"
        assert first <= last, f"{self}: {message}"
        self.user.learn_oldest(last + 1, first + 1)
        if self.announced_gap is None:
            self.tally["gap on the way"] += 1
        self.announced_gap = None
        self.next = last + 1
        self.cursor = message["cursor"]

    def _see_event(self, message: Message) -> None:
        assert self.next is not None, f"{self}: {message} before the hello"
        assert self.announced_gap is None, f"{self}: {message} before the gap"
        assert message["seq"] == self.next, f"{self}: {message}"
        event = self.user.event(self.next, message)
        if self.transport == "sse":
            assert message.sse_name is None, f"{message} is called {message.sse_name}"
            assert message.sse_id == message["cursor"], f"{message} has the id {message.sse_id}"
        self.next = event.seq + 1
        self.cursor = message["cursor"]
        self.tally[f"event by {self.transport}"] += 1

    def _ended(self) -> None:
        """It may end because its credential did, with a word of why; stalled ones are cut."""
        self.over_at = now = time.time()
        credential, end = self.credential, self.stream.end
        why = set()
        if credential.revoked_at is not None:
            why.add("revoked")
        if credential.expires_at <= now + EARLY:
            why.add("expired")
        ended_with = (
            None if self.closing is None else (self.closing["code"], self.closing["reason"])
        )
        assert why, f"{self}: ended with {ended_with} and {end} while its credential lives"
        self.tally[f"ended: {'/'.join(sorted(why))}"] += 1
        if ended_with is None:
            assert self.behind, f"{self}: ended without a word, {end}"
            self.tally["cut while stalled"] += 1
            return
        assert ended_with in {(4401, word) for word in why}, (
            f"{self}: {ended_with}, and it was {why}"
        )
        assert self.closing is not None
        assert self.closing["retry_after_ms"] is None, f"{self.closing}"
        if self.transport == "websocket":
            assert end is not None
            assert end.code == 4401 or (end.cut and self.behind), f"{self}: {end}"
        else:
            assert end is not None
            assert not end.cut, f"{self}: the response has no end"
