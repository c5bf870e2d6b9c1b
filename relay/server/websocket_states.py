"""The states of a WebSocket, and what leads from one to another. Pure.

    CONNECTING --ACCEPT--> OPEN --CLOSE--> CLOSING
         `-----REJECT--> REJECTING

END leads from each of them to CLOSED: the client may leave at any time.
"""

from enum import Enum, auto


class State(Enum):
    CONNECTING = auto()  # the application has not answered the handshake yet
    REJECTING = auto()  # the answer to the handshake is an ordinary response
    OPEN = auto()
    CLOSING = auto()  # our close frame was sent, the client's is awaited
    CLOSED = auto()  # nothing more is read or sent but what ends the connection


class Step(Enum):
    ACCEPT = auto()  # the application accepts the handshake
    REJECT = auto()  # the application, or the server in its place, refuses it
    CLOSE = auto()  # the application closes, or returns
    END = auto()  # the client closes, breaks the rules or is gone


TRANSITIONS: dict[State, dict[Step, State]] = {
    State.CONNECTING: {
        Step.ACCEPT: State.OPEN,
        Step.REJECT: State.REJECTING,
        Step.END: State.CLOSED,
    },
    # the server's own response may still take the place of one that was never written
    State.REJECTING: {Step.REJECT: State.REJECTING, Step.END: State.CLOSED},
    State.OPEN: {Step.CLOSE: State.CLOSING, Step.END: State.CLOSED},
    State.CLOSING: {Step.END: State.CLOSED},
    State.CLOSED: {Step.END: State.CLOSED},
}


def advanced(state: State, step: Step) -> State:
    """The state behind a step. Raises KeyError for a step that cannot be taken: a defect."""
    return TRANSITIONS[state][step]
