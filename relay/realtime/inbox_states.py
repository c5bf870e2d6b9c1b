"""The states of a reader's inbox and their transitions. Pure data.

    STARTING ──> BEHIND <──> READING ──> BUSY <──> RESTING          any ──> ENDED
        └──────────────────────────────────^

Every missed event leads to BEHIND: from STARTING, READING, BUSY and RESTING. From there the reader
has to read the journal.
"""

from enum import StrEnum


class InboxState(StrEnum):
    STARTING = "starting"  # the stream's head is being looked up: there is no position yet
    BEHIND = "behind"  # events are stored that the inbox does not hold
    READING = "reading"  # a journal page is being read; events offered meanwhile are queued
    BUSY = "busy"  # live: the reader writes, or is about to run
    RESTING = "resting"  # live: the reader waits, and the queue is empty
    ENDED = "ended"  # no more events are written


class Trigger(StrEnum):
    START_LIVE = "start live"  # the position is known, and no event is stored after it
    START_EARLIER = "start earlier"  # the position is known, and events are stored after it
    MISS = "miss"  # a hole, an overflow, an event that is stored and may not have been offered
    READ = "read"  # the reader requests a page of the journal
    CATCH_UP = "catch up"  # the reader has written the last page of the journal
    REST = "rest"  # the reader waits, and the queue is empty
    WAKE = "wake"  # events are queued, or the reader's wait has timed out
    END = "end"  # the stream ends


STARTING, BEHIND, READING, BUSY, RESTING, ENDED = InboxState

TRANSITIONS: dict[InboxState, dict[Trigger, InboxState]] = {
    STARTING: {
        Trigger.START_LIVE: BUSY,
        Trigger.START_EARLIER: BEHIND,
        Trigger.MISS: BEHIND,
        Trigger.END: ENDED,
    },
    BEHIND: {
        Trigger.START_LIVE: BEHIND,  # an event was missed while the start was looked up
        Trigger.START_EARLIER: BEHIND,
        Trigger.MISS: BEHIND,
        Trigger.READ: READING,
        Trigger.CATCH_UP: BEHIND,  # an event was missed while the page was written
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
    ENDED: dict.fromkeys(Trigger, ENDED),  # the reader's task may not have run since the end
}
