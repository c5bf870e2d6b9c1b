"""What a body is parsed to: an event, or a problem that names its faults."""

from relay.errors import Problem
from relay.events import NewEvent
from relay.ingest.parsing import parse_event
from tests.support.envelopes import NOW


def parsed(body: bytes) -> NewEvent:
    return parse_event(body, NOW)


def refused(body: bytes) -> Problem | None:
    """The problem that a body is; None for one that is accepted."""
    try:
        parsed(body)
    except Problem as problem:
        return problem
    return None


def faults(body: bytes) -> list[str]:
    """Which fields are at fault; none for a body that is accepted."""
    problem = refused(body)
    return [] if problem is None else [error.where for error in problem.errors]
