"""The state machine of a WebSocket. No I/O.

    CONNECTING --ACCEPT--> OPEN --CLOSE--> CLOSING
         `-----REJECT--> REJECTING

END leads from each state to CLOSED: the client may disconnect at any time.
"""

from enum import Enum, auto


class WebSocketState(Enum):
    CONNECTING = auto()  # the application has not answered the handshake yet
    REJECTING = auto()  # the answer to the handshake is an ordinary response
    OPEN = auto()
    CLOSING = auto()  # our close frame was sent, and the client's has not arrived
    CLOSED = auto()  # only the closing handshake may still be sent


class WebSocketStep(Enum):
    ACCEPT = auto()  # the application accepts the handshake
    REJECT = auto()  # the application, or the server in its place, rejects it
    CLOSE = auto()  # the application closes, or returns
    END = auto()  # the client closes, violates the protocol or has disconnected


TRANSITIONS: dict[WebSocketState, dict[WebSocketStep, WebSocketState]] = {
    WebSocketState.CONNECTING: {
        WebSocketStep.ACCEPT: WebSocketState.OPEN,
        WebSocketStep.REJECT: WebSocketState.REJECTING,
        WebSocketStep.END: WebSocketState.CLOSED,
    },
    # the server may still replace a response that was never written
    WebSocketState.REJECTING: {
        WebSocketStep.REJECT: WebSocketState.REJECTING,
        WebSocketStep.END: WebSocketState.CLOSED,
    },
    WebSocketState.OPEN: {
        WebSocketStep.CLOSE: WebSocketState.CLOSING,
        WebSocketStep.END: WebSocketState.CLOSED,
    },
    WebSocketState.CLOSING: {WebSocketStep.END: WebSocketState.CLOSED},
    WebSocketState.CLOSED: {WebSocketStep.END: WebSocketState.CLOSED},
}


def next_state(state: WebSocketState, step: WebSocketStep) -> WebSocketState:
    """The state after a step. Raises KeyError for a step that is not allowed: a bug."""
    return TRANSITIONS[state][step]
