"""An ask as readers see it: the object of the API, and the payload of its two events."""

from datetime import datetime
from typing import Annotated, NamedTuple, Self
from uuid import UUID

import msgspec
from msgspec import Meta, Raw

from relay.db.asks import Ask, AskKind, AskState
from relay.events import optional_rfc3339, rfc3339
from relay.schema_types import Identifier, Moment, Uuid


class AskView(msgspec.Struct, kw_only=True):
    """A question, and what became of it. Nothing but an answer counts as consent."""

    ask_id: Uuid
    state: AskState
    question: str
    kind: AskKind
    options: list[str]
    details: Annotated[Raw, Meta(description="Any JSON, as sent.")]
    question_hash: Annotated[
        str,
        Meta(
            description="Of the question, its kind, options and details: send it with the answer."
        ),
    ]
    task_id: Identifier | None
    asked_at: Moment
    expires_at: Moment
    answer: str | None
    answered_at: Moment | None

    @classmethod
    def of(cls, ask: Ask) -> Self:
        """The ask as it is now."""
        return cls(
            ask_id=str(ask.ask_id),
            state=ask.state,
            question=ask.question,
            kind=ask.kind,
            options=list(ask.options),
            details=Raw((ask.details or "null").encode()),
            question_hash=ask.question_hash,
            task_id=ask.task_id,
            asked_at=rfc3339(ask.asked_at),
            expires_at=rfc3339(ask.expires_at),
            answer=ask.answer,
            answered_at=optional_rfc3339(ask.ended_at) if ask.state == "answered" else None,
        )


class ShownAsk(NamedTuple):
    """An open ask as it is shown until it ends; `json` is its AskView."""

    asked_by: UUID
    expires_at: datetime
    json: bytes

    @classmethod
    def of(cls, ask: Ask) -> Self:
        """An ask that is open."""
        return cls(ask.asked_by, ask.expires_at, msgspec.json.encode(AskView.of(ask)))


class AskEnded(msgspec.Struct):
    """The payload of `task_answered`."""

    ask_id: Uuid
    state: AskState
    answer: str | None


def waiting_payload(ask: Ask) -> str:
    """The payload of `task_waiting`: the ask as it was opened."""
    view = AskView.of(ask)
    view.state, view.answer, view.answered_at = "open", None, None
    return msgspec.json.encode(view).decode()


def answered_payload(ask: Ask) -> str:
    """The payload of `task_answered`: how the ask ended."""
    ended = AskEnded(str(ask.ask_id), ask.state, ask.answer)
    return msgspec.json.encode(ended).decode()
