"""Encoded events of given sizes, and an independent reader of frames."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import HealthCheck, settings
from wsproto.frame_protocol import FrameProtocol, Opcode

from relay.events import Event
from relay.realtime.encoding import (
    EncodedEvent,
    event_json,
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
EPOCH = "0123456789abcdef0123"
NOON = datetime(2026, 1, 31, 12, 0, 0, 7_000, UTC)


def an_event(seq: int = 1, payload: str = "{}", **other: str | None) -> Event:
    values: dict[str, str | None] = {"id": f"e{seq}", "task_id": None, **other}
    return Event(
        epoch=EPOCH,
        seq=seq,
        id=str(values["id"]),
        event_type="log",
        task_id=values["task_id"],
        ts="2026-01-31T12:00:00Z",
        payload=payload,
        received_at=NOON,
    )


def frames(sizes: Sequence[int]) -> list[EncodedEvent]:
    """Frames whose JSON has exactly these sizes."""
    least = [len(event_json(an_event(seq, '""'))) for seq in range(1, len(sizes) + 1)]
    return [
        EncodedEvent.from_event(an_event(seq, f'"{"x" * (size - least[seq - 1])}"'))
        for seq, size in enumerate(sizes, 1)
    ]


def messages(data: bytes) -> list[bytes]:
    """What a client of another make reads: whole text messages, nothing left over."""
    client = FrameProtocol(client=True, extensions=[])
    client.receive_bytes(data)
    found: list[bytes] = []
    text = ""
    for frame in client.received_frames():
        assert frame.opcode is Opcode.TEXT
        text += str(frame.payload)
        if frame.message_finished:
            found.append(text.encode())
            text = ""
    assert text == ""
    return found
