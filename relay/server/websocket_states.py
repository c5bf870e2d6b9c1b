"""The state machine of a WebSocket. No I/O.

    CONNECTING --ACCEPT--> OPEN --CLOSE--> CLOSING
         `-----REJECT--> REJECTING

END leads from each state to CLOSED: the client may disconnect at any time.
"""

from enum import Enum, auto


class State(Enum):
    CONNECTING = auto()  # the application has not answered the handshake yet
    REJECTING = auto()  # the answer to the handshake is an ordinary response
    OPEN = auto()
    CLOSING = auto()  # our close frame was sent, and the client's has not arrived
    CLOSED = auto()  # only the closing handshake may still be sent


class Step(Enum):
    ACCEPT = auto()  # the application accepts the handshake
    REJECT = auto()  # the application, or the server in its place, rejects it
    CLOSE = auto()  # the application closes, or returns
    END = auto()  # the client closes, violates the protocol or has disconnected


TRANSITIONS: dict[State, dict[Step, State]] = {
    State.CONNECTING: {
        Step.ACCEPT: State.OPEN,
        Step.REJECT: State.REJECTING,
        Step.END: State.CLOSED,
    },
    # the server may still replace a response that was never written
    State.REJECTING: {Step.REJECT: State.REJECTING, Step.END: State.CLOSED},
    State.OPEN: {Step.CLOSE: State.CLOSING, Step.END: State.CLOSED},
    State.CLOSING: {Step.END: State.CLOSED},
    State.CLOSED: {Step.END: State.CLOSED},
}


def advanced(state: State, step: Step) -> State:
    """The state after a step. Raises KeyError for a step that is not allowed: a bug."""
    return TRANSITIONS[state][step]
