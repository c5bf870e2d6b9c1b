"""The requests of an ask, checked: what may be asked, and what may be answered."""

import hashlib
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from relay.db.asks import Ask, AskKind, NewAsk
from relay.errors import FieldError, Invalid
from relay.identifiers import IDENTIFIER_FAULT, is_identifier
from relay.ingest.structure import nests_too_deep
from relay.schema_types import Identifier

MAX_QUESTION = 2_000  # characters, of a question and of a text that answers it
MAX_OPTION = 100
MAX_OPTIONS = 10
MAX_DETAILS_BYTES = 16 * 1024  # as sent
MAX_DETAILS_NESTING = 32  # levels: half of a payload's, for it is a part of one
MIN_SECONDS, MAX_SECONDS = 10, 7 * 86_400


Text = Annotated[str, Meta(min_length=1, max_length=MAX_QUESTION)]
Option = Annotated[str, Meta(min_length=1, max_length=MAX_OPTION)]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What a program asks. `options` belong to a choice. `expires_in` is in seconds."""

    question: Text
    kind: AskKind
    expires_in: Annotated[int, Meta(ge=MIN_SECONDS, le=MAX_SECONDS)]
    options: (
        Annotated[
            list[Option],
            Meta(min_length=2, max_length=MAX_OPTIONS, extra_json_schema={"uniqueItems": True}),
        ]
        | UnsetType
    ) = UNSET
    details: (
        Annotated[Raw, Meta(description=f"Any JSON, at most {MAX_DETAILS_BYTES} bytes as sent.")]
        | UnsetType
    ) = UNSET
    task_id: Identifier | UnsetType = UNSET
    event_id: (
        Annotated[Identifier, Meta(description="Your idempotency key, for one day.")] | UnsetType
    ) = UNSET


class GivenAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """One of the options, or a text; with the `question_hash` of what was shown."""

    answer: Text
    question_hash: Annotated[str, Meta(min_length=1, max_length=64)]


def new_ask(asked: Question, *, user_id: UUID, token_id: UUID) -> NewAsk:
    """The ask that a request opens. Raises Invalid, with each fault of it."""
    task_id = None if asked.task_id is UNSET else asked.task_id
    event_id = None if asked.event_id is UNSET else asked.event_id
    options = [] if asked.options is UNSET else asked.options
    details = None if asked.details is UNSET else _one_line(asked.details)
    if faults := [*_text_faults(asked, options), *_id_faults(task_id, event_id)]:
        raise Invalid(errors=faults)
    if details is not None and (fault := _details_fault(details)) is not None:
        raise Invalid(errors=[fault])
    shown = msgspec.json.encode([asked.question, asked.kind, options, details])
    whole = msgspec.json.encode([shown.decode(), task_id, asked.expires_in])
    return NewAsk(
        ask_id=uuid4(),
        user_id=user_id,
        token_id=token_id,
        event_id=event_id,
        hash=hashlib.sha256(whole).digest(),
        task_id=task_id,
        question=asked.question,
        kind=asked.kind,
        options=options,
        details=None if details == "null" else details,
        question_hash=hashlib.sha256(shown).hexdigest(),
        expires_in=asked.expires_in,
    )


def check_answer(ask: Ask, answer: str) -> None:
    """Raise Invalid unless the answer is one of the options, or a text without control characters.

    A text may have line ends.
    """
    if ask.kind == "choice" and answer not in ask.options:
        raise Invalid.of("answer", "is not one of the options")
    if ask.kind == "text" and (fault := _forbidden(answer, but="\r\n")) is not None:
        raise Invalid.of("answer", fault)


def _one_line(details: Raw) -> str:
    """JSON text without line ends, which stand between tokens only."""
    return str(details, "utf-8").replace("\r", " ").replace("\n", " ")


def _text_faults(asked: Question, options: list[str]) -> list[FieldError]:
    faults = []
    if (fault := _forbidden(asked.question, but="\r\n\t")) is not None:
        faults.append(FieldError("question", fault))
    for number, option in enumerate(options):
        if (fault := _forbidden(option, but="")) is not None:
            faults.append(FieldError(f"options[{number}]", fault))
    if len(set(options)) < len(options):
        faults.append(FieldError("options", "has the same option twice"))
    if asked.kind == "choice" and not options:
        faults.append(FieldError("options", "is missing: a choice has 2 to 10"))
    if asked.kind == "text" and options:
        faults.append(FieldError("options", "belongs to a choice"))
    return faults


def _id_faults(task_id: str | None, event_id: str | None) -> list[FieldError]:
    return [
        FieldError(name, IDENTIFIER_FAULT)
        for name, value in (("task_id", task_id), ("event_id", event_id))
        if value is not None and not is_identifier(value)
    ]


def _details_fault(details: str) -> FieldError | None:
    if len(details.encode()) > MAX_DETAILS_BYTES:
        return FieldError("details", f"is larger than {MAX_DETAILS_BYTES} bytes")
    if nests_too_deep(details.encode(), MAX_DETAILS_NESTING):
        return FieldError("details", f"is nested deeper than {MAX_DETAILS_NESTING} levels")
    return None


def _forbidden(text: str, *, but: str) -> str | None:
    """What a text must not have: control characters `but` these, which terminals obey, and blanks
    alone."""
    for character in text:
        code = ord(character)
        if (code < 0x20 and character not in but) or 0x7F <= code < 0xA0:
            return f"contains the control character U+{code:04X}"
        if 0xD800 <= code < 0xE000:
            return "contains half of a surrogate pair"
    return None if text.strip() else "is blank"
