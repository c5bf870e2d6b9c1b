"""The shapes in which producers really send events: the body of each, and its client's headers.

A figure of a workload is that of its worst shape, beside the best. All peers get the same bytes.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# The headers that clients add by themselves to a POST of JSON.
CLIENTS = {
    "curl": ("User-Agent: curl/8.14.1", "Accept: */*"),
    "httpx": (
        "Accept: */*",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "User-Agent: python-httpx/0.28.1",
    ),
    "aiohttp": (
        "Accept: */*",
        "Accept-Encoding: gzip, deflate",
        "User-Agent: Python/3.12 aiohttp/3.12.15",
    ),
    "axios": (
        "Accept: application/json, text/plain, */*",
        "User-Agent: axios/1.12.2",
        "Accept-Encoding: gzip, compress, deflate, br",
        "Connection: keep-alive",
    ),
    "Go": ("User-Agent: Go-http-client/1.1", "Accept-Encoding: gzip"),
    "Java": ("User-Agent: Java-http-client/21.0.8",),
}

Compose = Callable[[bytes, int], bytes]
"""Makes a post's body of an event and how many times it is in there."""


def compose_lines(event: bytes, count: int) -> bytes:
    """One event as it is, several as lines."""
    return event if count == 1 else (event + b"\n") * count


_SLOT = re.compile(rb"<(number|task)>")
EVENTS_PER_TASK = 16  # where each producer has many tasks


@dataclass(frozen=True, slots=True)
class Shape:
    """An event with the slots `<lane>`, `<number>` and `<task>`, and the headers of its client.

    `posts` is set where a second of posting would fill the generator's memory: the number of POSTs
    of each producer then ends a case.
    """

    name: str
    event: bytes
    client: tuple[str, ...] = ()
    posts: int | None = None
    divisors: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        slots = _SLOT.findall(self.event)
        divisors = [1 if slot == b"number" else EVENTS_PER_TASK for slot in slots]
        object.__setattr__(self, "divisors", tuple(divisors))

    def template(self, lane: int) -> bytes:
        """The event of one producer for `%`, which takes a number for each of `divisors`."""
        text = self.event.replace(b"%", b"%%").replace(b"<lane>", b"%05d" % lane)
        return _SLOT.sub(b"%08d", text)

    def values(self, numbers: range) -> tuple[int, ...]:
        """What the templates of these events take, one after the other."""
        if self.divisors == (1,):
            return tuple(numbers)
        return tuple([number // divisor for number in numbers for divisor in self.divisors])


def _event(payload: dict[str, Any], task_id: str = "build", **more: str) -> bytes:
    event = {
        "event_type": "task_progress",
        "ts": "2026-01-31T12:00:00Z",
        "task_id": task_id,
        **more,
        "payload": payload,
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


_MARK = "@<lane>-<number>@"
_ID = "build-<lane>:<number>"
_MESSAGE = f"{_MARK} compiled one more of many files"
_LINE = "src/parser/expression.c:214: warning: unused variable 'left' [-Wunused-variable]\n"

TIDY = Shape("tidy", _event({"progress": 0.42, "message": _MESSAGE}))
LARGE = Shape(
    "64 KiB",
    _event({"message": _MARK + "." * 60_000}, event_id=_ID),
    CLIENTS["aiohttp"],
    posts=40,
)
SHAPES = (
    TIDY,
    Shape(
        "named",
        _event({"progress": 0.42, "message": _MESSAGE}, event_id=_ID),
        CLIENTS["httpx"],
    ),
    Shape(
        "log of 2 KB",
        _event({"message": _MARK + "\n" + _LINE * 25}, event_id=_ID),
        CLIENTS["curl"],
    ),
    Shape(
        "keys of the envelope",
        _event(
            {"task_id": "build", "ts": "12:00", "event_type": "compile", "message": _MESSAGE},
            event_id=_ID,
        ),
        CLIENTS["Go"],
    ),
    Shape(
        "escapes and emoji",
        _event({"message": f'"étape" \\ {_MESSAGE} 🚀\t\u001b[32mok\u001b[0m'}, event_id=_ID),
        CLIENTS["axios"],
    ),
    Shape(
        "many tasks",
        _event({"progress": 0.42, "message": _MESSAGE}, "job-<lane>-<task>", event_id=_ID),
        CLIENTS["Java"],
    ),
    LARGE,
)
