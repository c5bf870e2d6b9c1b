"""Follows a stream, and notes on stderr what happens to the connection."""

from collections.abc import Callable, Iterator
from typing import Any

from relay.cli import output
from relay.client.stream_messages import StreamMessage
from relay.client.stream_reader import ConnectionLost, StreamReader


def follow(
    stream: StreamReader, show_status: Callable[[str], None] = lambda _status: None
) -> Iterator[list[StreamMessage]]:
    """Yield messages that arrived together, without end. Raises `ApiError` if Relay refuses.

    Each break, missing events and a new numbering are a note. `show_status` is called with whether
    there is a connection.
    """
    broken = False
    for received in stream.read():
        if isinstance(received, ConnectionLost):
            if not broken:  # once per break, not once per attempt
                _print_note(f"{received.why}; trying again")
            broken = True
            show_status(f"not connected: {received.why}")
            continue
        if broken:
            _print_note("reconnected")
        broken = False
        for note in _notes(received):
            _print_note(note)
        show_status(f"live at {stream.cursor}")
        yield received


def starts_over(message: StreamMessage) -> bool:
    """Whether the numbering of the stream is a new one from this message on."""
    return message.control == "hello" and bool(message.fields.get("reason"))


def _notes(received: list[StreamMessage]) -> Iterator[str]:
    """Notes about missing events, and about a stream that starts over."""
    for one in received:
        fields: dict[str, Any] = one.fields
        if one.control == "gap":
            missing = fields["to"] - fields["from"] + 1
            yield f"{missing} events are no longer stored ({fields['from']} to {fields['to']})"
        elif starts_over(one):
            yield f"the stream starts over at the oldest stored event ({fields['reason']})"


def _print_note(note: str) -> None:
    output.note(f"relay: {note}")
