"""Events on their way in: how they are posted, and that their receipts are true."""

from typing import Any

from tests.support.client.blocking import Call
from tests.support.client.protocol import JSON, Answer
from tests.support.model.book import Credential, Event, User
from tests.support.model.drawn import Draft
from tests.support.model.scene import Scene


class Publishing(Scene):
    """What is acknowledged enters the book, in the order Relay says."""

    def __init__(self) -> None:
        super().__init__()
        self.stamps = 0

    def post(self, hook: Credential, body: bytes, kind: str = JSON) -> Call:
        return Call(self.house.port, "POST", "/api/webhook/cli", hook.token, body, kind)

    def rendered(self, user: User, draft: Draft) -> tuple[Event, bytes]:
        """An event as it would be stored (but for its seq) and as it is posted; no two alike."""
        self.stamps += 1
        event_id = draft.named(user)
        task_id = f"{user.name}/{self.stamps}" if draft.task else None
        ts = f"2026-01-31T12:00:00.{self.stamps:09}Z"
        event = Event(0, event_id, draft.event_type, task_id, ts, draft.seen, (0, 0))
        return event, draft.line(event_id, task_id, ts)

    def receive(
        self,
        user: User,
        event: Event,
        event_id: str | None,
        call: Call,
        receipt: dict[str, Any],
        coming: int = 0,
    ) -> None:
        """A receipt is true, and from now on the book says what it says."""
        receipt = dict(receipt)
        self.check_watchers(user, receipt.pop("watchers"), call, coming)
        first = user.known.get(event_id) if event_id is not None else None
        if first is None:
            event.id, event.seq = event_id or receipt["id"], user.last + 1
            event.posted = (call.asked_at, call.answered_at)
            user.store(event)
        else:
            self.tally["duplicate"] += 1
            self.tally["duplicate of a trimmed one"] += first.seq < user.floor
        stored = first or event
        assert receipt == {
            "ok": True,
            "id": stored.id,
            "seq": stored.seq,
            "cursor": f"{user.epoch}.{stored.seq}",
            "duplicate": first is not None,
        }, f"{user}: {stored} was answered with {receipt}"

    def receive_batch(
        self, user: User, rendered: list[tuple[Event, bytes]], call: Call, answer: Answer
    ) -> None:
        assert answer.status == 200, f"{answer}"
        seqs, new = [], []
        for event, _ in rendered:
            first = user.known.get(event.id) if event.id is not None else None
            if first is None:
                event.seq, event.posted = user.last + 1, (call.asked_at, call.answered_at)
                user.store(event)
                new.append(event.seq)
                seqs.append(event.seq)
            else:
                seqs.append(first.seq)
        receipt = dict(answer.json)
        self.check_watchers(user, receipt.pop("watchers"), call)
        assert receipt == {
            "ok": True,
            "accepted": len(new),
            "duplicates": len(rendered) - len(new),
            "first_seq": min(new, default=None),
            "last_seq": max(new, default=None),
            "cursor": f"{user.epoch}.{max(seqs)}",
        }, f"{user} had {user.last - len(new)} events: {answer}"
        self.tally["duplicate in a batch"] += len(rendered) - len(new)

    def receive_crowd(self, user: User, posts: list[tuple[Event, Call]], coming: int) -> None:
        answers = [(event, call, call.answer()) for event, call in posts]
        assert all(answer.status == 200 for *_, answer in answers), f"{answers}"
        # those of which one was first, in the order they were stored in, then their duplicates
        answers.sort(key=lambda each: (each[2].json["duplicate"], each[2].json["seq"]))
        first = min((call.asked_at for _, call, _ in answers), default=0.0)
        for event, call, answer in answers:
            call.asked_at = first  # counts of watchers: any moment of the crowd
            self.receive(user, event, event.id, call, answer.json, coming)
