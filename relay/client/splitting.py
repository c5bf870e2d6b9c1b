"""Posts an event in parts where a proxy limits the size of requests.

The text of a log can be divided: its lines stay the same when they come as several events. Other
events cannot.
"""

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import msgspec

from relay.client.post_answers import Answer, NotRelay, Stored

if TYPE_CHECKING:
    from relay.client.posting import EventPoster

SMALL_REQUEST_BYTES = 2 * 2**10  # a proxy that refuses this refuses every request
SMALLEST_TEXT = 256  # characters of a log that are not divided further
PARTS = UUID("6e6d4f2c-5d0b-5a8e-9c1f-0a4b7e2d3c18")  # the namespace of the ids of parts


def post_in_parts(posting: "EventPoster", line: bytes, answer: Answer) -> Answer:
    """The answer for an event whose posting had `answer`, or of its parts if it can be divided.

    The parts are stored one after the other. Their ids depend on the event's alone, so that a part
    that is sent again after a break is stored once.
    """
    if not isinstance(answer, NotRelay) or not answer.is_size_limit:
        return answer
    for half in split_log(line):
        answer = post_in_parts(posting, half, posting.many([half]))
        if not isinstance(answer, Stored):
            break
    return answer


def is_indivisible(line: bytes) -> bool:
    """Whether a proxy's size limit can hold back this event while it lets others through."""
    return len(line) >= SMALL_REQUEST_BYTES and not split_log(line)


def split_log(line: bytes) -> list[bytes]:
    """Divide a log event at the newline nearest to the middle of its text, else in the middle.

    Returns two lines, or nothing if the line is damaged or no log, or its text too short.
    """
    try:
        event = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        if msgspec.json.decode(event["event_type"]) != "log":
            return []
        event_id = msgspec.json.decode(event["event_id"], type=str)
        payload = msgspec.json.decode(event["payload"], type=dict[str, msgspec.Raw])
        text = msgspec.json.decode(payload["message"], type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        return []  # no log of lines, or a damaged line of a file that a process left over
    if len(text) < SMALLEST_TEXT:
        return []
    halves = []
    for part, piece in enumerate(_divide(text)):
        part_id = uuid5(PARTS, f"{event_id} {part}")
        changed = {"event_id": str(part_id), "payload": {**payload, "message": piece}}
        halves.append(msgspec.json.encode({**event, **changed}) + b"\n")
    return halves


def _divide(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    places = (text.find("\n", middle), text.rfind("\n", 0, middle))
    newlines = [place for place in places if place >= 0]
    if not newlines:
        return text[:middle], text[middle:]
    cut = min(newlines, key=lambda place: abs(place - middle))
    if len(text) - SMALLEST_TEXT // 4 < cut or cut < SMALLEST_TEXT // 4:
        return text[:middle], text[middle:]  # a long line: its halves must become shorter
    # a blank line at the end keeps its line end, as in a log that was not divided
    end = cut + 1 if text[cut - 1] == "\n" else cut
    return text[:end], text[cut + 1 :]
