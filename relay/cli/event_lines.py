"""Writes events as lines of text: the log of a stream."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

import msgspec
from rich.text import Text

from relay.cli.event_tasks import ENDS, TASK_EVENTS, task_id_of
from relay.cli.percent_text import percent_text
from relay.client.duration_text import duration_text
from relay.client.json_values import decode_any
from relay.client.plain_text import clean, is_visible, keep_colours, printed_lines
from relay.client.stream_messages import StreamEvent
from relay.tasks.reported import read_duration, read_integer, read_progress, read_title

Kept = TypeVar("Kept")

MAX_TITLES = 2_000  # of tasks; more than a stream begins with. Beyond, the oldest is dropped
MAX_COMPARED = 200  # lines at the end of a log, with which a progress is compared

_LEVELS = {  # those of the live page
    **dict.fromkeys(("error", "err", "fatal", "critical"), "red"),
    **dict.fromkeys(("warning", "warn"), "yellow"),
    **dict.fromkeys(("debug", "trace"), "dim"),
}
_ENDS = dict(zip(ENDS, (("✓", "green"), ("✗", "red")), strict=True))


class EventLines:
    """The lines of a stream's events. `with_progress`: a progress is a line, too."""

    def __init__(self, *, with_progress: bool) -> None:
        self._with_progress = with_progress
        self._titles: dict[str, str] = {}  # of tasks by id, also of those that have ended
        # what was last printed of a task: lines of a log, or a progress
        self._printed: dict[str, set[str]] = {}

    def forget_tasks(self) -> None:
        """Forget the titles: the stream starts over."""
        self._titles.clear()
        self._printed.clear()

    def set_title(self, task_id: str, title: str | None) -> None:
        """Note the title of a task."""
        if title and is_visible(title):
            _remember(self._titles, task_id, clean(title))

    def of(self, event: StreamEvent) -> Iterator[Text]:
        """The lines of one event; none for a type that is not known here."""
        task_id = task_id_of(event)
        if event.event_type == "log":
            yield from self._of_log(event, task_id)
        elif event.event_type in TASK_EVENTS and task_id is not None:
            yield from self._of_task(event, task_id)

    def _of_log(self, event: StreamEvent, task_id: str | None) -> Iterator[Text]:
        payload = _known_fields(event)
        text = payload.message if payload.message is not None else bytes(event.payload).decode()
        lines = printed_lines(text)
        if task_id is not None and self._with_progress:
            last = {clean(line).strip() for line in lines[-MAX_COMPARED:]}
            _remember(self._printed, task_id, last)
        title = "" if task_id is None else self._titles.get(task_id) or clean(task_id)
        name = (f"{title}  " if title else "", "cyan")
        clock, style = _clock(event), _LEVELS.get(payload.level, "")
        for line in lines:
            yield Text.assemble(clock, name, coloured(line, style))

    def _of_task(self, event: StreamEvent, task_id: str) -> Iterator[Text]:
        kind, payload = event.event_type, _known_fields(event)
        self.set_title(task_id, payload.title)
        title = self._titles.get(task_id) or clean(event.task_id or "task")
        if kind in _ENDS:
            sign, style = _ENDS[kind]
            self._printed.pop(task_id, None)
            yield Text.assemble(
                _clock(event), (f"{sign} {title}", style), f"  {_result(payload)}".rstrip()
            )
        elif kind == "task_started":
            yield Text.assemble(_clock(event), (f"▶ {title}", "bold"))
        elif self._with_progress:
            message = clean(payload.message or "")
            done = "" if payload.progress is None else percent_text(payload.progress)
            share = f"{done:>4}  " if done else ""
            words, printed = f"{share}{message}".strip(), self._printed.get(task_id, set())
            if message.strip() not in printed and words not in printed:
                _remember(self._printed, task_id, {words})
                yield Text.assemble(_clock(event), f"{title}  {share}{message}".rstrip())


def _remember(known: dict[str, Kept], key: str, value: Kept) -> None:
    """Keep the value as the newest one; beyond `MAX_TITLES` the oldest is dropped."""
    known.pop(key, None)
    while len(known) >= MAX_TITLES:
        del known[next(iter(known))]
    known[key] = value


def coloured(line: str, style: str) -> Text:
    """The line with its colours, and without other control sequences."""
    text = keep_colours(line)
    shown = Text.from_ansi(text.expandtabs(4)) if "\x1b" in line else Text(text)
    if style:
        shown.stylize_before(style)
    return shown


class KnownFields(msgspec.Struct):
    """The fields of a payload that are shown, as far as they have values that count for a task."""

    title: str | None = None
    message: str | None = None
    level: str = ""
    progress: float | None = None
    duration: float | None = None
    exit_code: int | None = None


def _known_fields(event: StreamEvent) -> KnownFields:
    payload = decode_any(bytes(event.payload))
    if not isinstance(payload, dict):
        return KnownFields()
    message = payload.get("message")
    return KnownFields(
        read_title(payload.get("title")),
        message if isinstance(message, str) else None,
        str(payload.get("level", "")).lower(),
        read_progress(payload.get("progress")),
        read_duration(payload.get("duration_s")),
        read_integer(payload.get("exit_code")),
    )


def _clock(event: StreamEvent) -> tuple[str, str]:
    """The event's time in the local time zone, and its style."""
    for stamp in (event.ts, event.received_at):
        try:
            return f"{datetime.fromisoformat(stamp).astimezone():%H:%M:%S} ", "dim"
        except (ValueError, OverflowError):
            continue
    return "--:--:-- ", "dim"


def _result(payload: KnownFields) -> str:
    words = [] if payload.duration is None else [duration_text(payload.duration)]
    words += [f"exit code {payload.exit_code}"] if payload.exit_code else []
    words += [] if payload.message is None else [clean(payload.message)]
    return "  ".join(words)
