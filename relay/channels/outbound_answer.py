"""What a call of a receiver comes to."""

from typing import NamedTuple


class OutboundFailed(Exception):
    """There is no answer. The message is for a person, and shows nothing of what was received."""


class OutboundAnswer(NamedTuple):
    """`retry_after` in seconds, if the answer has it."""

    status: int
    retry_after: float | None
