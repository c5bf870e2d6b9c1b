"""What a route declares for the reference. Tests hold the route's real answers to it.

An answer is declared as an instance of its model, so every answer has an example, and no example
has another shape than the program's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec

from relay.errors import Problem

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is no model: in these media types, or without a body when there are none."""

    says: str
    media_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Events:
    """An answer that goes on: server-sent events, each like this one."""

    says: str
    one: msgspec.Struct


Specimens = msgspec.Struct | tuple[msgspec.Struct, ...]
Answer = Specimens | Text | Events


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that goes into the URL or a header; `type` is read by msgspec."""

    name: str
    type: Any
    says: str
    example: Any = None  # none where two examples would contradict each other
    where: Literal["query", "header", "path"] = "query"


@dataclass(frozen=True, slots=True)
class Link:
    """Where an answer leads: these of its fields go into that call, as parameters or as body."""

    to: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """What a route declares itself. What its credential, body and limit refuse is added from them.

    `refuses` is what this route refuses besides. `body` names the media types it reads. `headers`
    are an answer's own, by status. `needs` replaces the security that the credential implies.
    `links` start from the first answer.
    """

    tag: str
    answers: Mapping[int, Answer]
    refuses: tuple[type[Problem], ...] = ()
    body: Mapping[str, Specimens] = field(default_factory=dict)
    body_optional: bool = False
    parameters: tuple[Parameter, ...] = ()
    headers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    needs: tuple[str, ...] | None = None
    links: tuple[Link, ...] = ()


def described(
    tag: str, *, answers: Mapping[int, Answer], **more: Any
) -> Callable[[Handler], Handler]:
    """Say what the route below answers and refuses; its docstring is the summary."""
    description = Description(tag, answers, **more)

    def declare(handler: Handler) -> Handler:
        handler.described = description  # type: ignore[attr-defined]
        return handler

    return declare
