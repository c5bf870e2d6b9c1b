"""What a route declares for the OpenAPI document. Tests check real answers against it.

An answer is declared as an instance of its model, so every answer has an example of the right
shape.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from relay.errors import Problem

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Text(msgspec.Struct, frozen=True):
    """An answer without a model, in these media types; without any it has no body."""

    description: str
    media_types: tuple[str, ...] = ()
    example: str | None = None


class EventStreamAnswer(msgspec.Struct, frozen=True):
    """An answer that is a stream of server-sent events, each like this one."""

    description: str
    one: msgspec.Struct


ExampleModels = msgspec.Struct | tuple[msgspec.Struct, ...]
DeclaredAnswer = ExampleModels | Text | EventStreamAnswer


class Parameter(msgspec.Struct, frozen=True):
    """A parameter in the URL or a header; msgspec makes its schema from `type`."""

    name: str
    type: Any
    description: str
    example: Any = None  # None where it would contradict another parameter's
    where: Literal["query", "header", "path"] = "query"
    required: bool = False  # of the query; what is in the path always is


class Link(msgspec.Struct, frozen=True):
    """An OpenAPI link: fields of an answer that are parameters or body of another call."""

    to: str
    parameters: Mapping[str, str] = {}
    body: Mapping[str, str] = {}


class Description(msgspec.Struct, frozen=True):
    """What a route declares. The problems of its credential, body and limit are added to it.

    `refuses`: the route's other problems. `body`: examples by media type. `headers`: an answer's
    own headers, by status. `security` replaces the security schemes of the route's need. `links`
    start from the first answer.
    """

    tag: str
    answers: Mapping[int, DeclaredAnswer]
    refuses: tuple[type[Problem], ...] = ()
    body: Mapping[str, ExampleModels] = {}
    body_optional: bool = False
    parameters: tuple[Parameter, ...] = ()
    headers: Mapping[int, tuple[str, ...]] = {}
    security: tuple[str, ...] | None = None
    links: tuple[Link, ...] = ()


def described(
    tag: str, *, answers: Mapping[int, DeclaredAnswer], **more: Any
) -> Callable[[Handler], Handler]:
    """Describe a route's answers and problems. Its docstring is the summary."""
    description = Description(tag, answers, **more)

    def declare(handler: Handler) -> Handler:
        handler.described = description  # type: ignore[attr-defined]
        return handler

    return declare
