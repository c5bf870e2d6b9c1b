"""The states of a reader's inbox, and what moves it from one to another. Pure data.

    STARTING ──> BEHIND <──> READING ──> BUSY <──> RESTING          any ──> ENDED
        └──────────────────────────────────^

BEHIND is the one answer to all trouble: from STARTING, READING, BUSY and RESTING a missed event
leads there, and the only way on is the journal.
"""

from enum import StrEnum


class State(StrEnum):
    STARTING = "starting"  # the stream's head is being looked up: there is no position yet
    BEHIND = "behind"  # something is stored that the inbox does not hold
    READING = "reading"  # a page of the journal is on its way; what is offered meanwhile waits
    BUSY = "busy"  # live: the reader writes, or is about to run
    RESTING = "resting"  # live: the reader waits, and nothing is on its way to it
    ENDED = "ended"  # nothing more reaches the reader


class Trigger(StrEnum):
    START_LIVE = "start live"  # the position is known, and nothing is stored after it
    START_EARLIER = "start earlier"  # the position is known, and something is stored after it
    MISS = "miss"  # a hole, an overflow, an event stored and perhaps not offered
    READ = "read"  # the reader asks the journal for a page
    CATCH_UP = "catch up"  # all that was read is written, and what waits comes next
    REST = "rest"  # the reader waits, and nothing waits for it
    WAKE = "wake"  # something waits for the reader, or its time to wait is over
    END = "end"


STARTING, BEHIND, READING, BUSY, RESTING, ENDED = State

TRANSITIONS: dict[State, dict[Trigger, State]] = {
    STARTING: {
        Trigger.START_LIVE: BUSY,
        Trigger.START_EARLIER: BEHIND,
        Trigger.MISS: BEHIND,
        Trigger.END: ENDED,
    },
    BEHIND: {
        Trigger.START_LIVE: BEHIND,  # something was missed while the start was looked up
        Trigger.START_EARLIER: BEHIND,
        Trigger.MISS: BEHIND,
        Trigger.READ: READING,
        Trigger.CATCH_UP: BEHIND,  # something was missed while the page was written
        Trigger.END: ENDED,
    },
    READING: {
        Trigger.READ: READING,  # the next page
        Trigger.MISS: BEHIND,
        Trigger.CATCH_UP: BUSY,
        Trigger.END: ENDED,
    },
    BUSY: {
        Trigger.MISS: BEHIND,
        Trigger.REST: RESTING,
        Trigger.END: ENDED,
    },
    RESTING: {
        Trigger.MISS: BEHIND,
        Trigger.WAKE: BUSY,
        Trigger.END: ENDED,
    },
    ENDED: dict.fromkeys(Trigger, ENDED),  # its reader may not have run since
}
