"""The transition table of a WebSocket: what may follow, and that every path ends."""

import itertools

import pytest

from relay.server.websocket_states import TRANSITIONS, WebSocketState, WebSocketStep, next_state

ACCEPTED = (WebSocketStep.ACCEPT, WebSocketStep.CLOSE, WebSocketStep.END)
REJECTED = (WebSocketStep.REJECT, WebSocketStep.END)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(WebSocketState)


@pytest.mark.parametrize("state", WebSocketState)
def test_the_client_may_disconnect_in_every_state(state: WebSocketState) -> None:
    assert next_state(state, WebSocketStep.END) is WebSocketState.CLOSED


@pytest.mark.parametrize("steps", [ACCEPTED, REJECTED])
def test_a_complete_exchange_ends_closed(steps: tuple[WebSocketStep, ...]) -> None:
    *_, end = itertools.accumulate(steps, next_state, initial=WebSocketState.CONNECTING)
    assert end is WebSocketState.CLOSED


def test_the_closed_state_is_final() -> None:
    assert set(TRANSITIONS[WebSocketState.CLOSED].values()) == {WebSocketState.CLOSED}


def test_a_handshake_is_decided_once() -> None:
    for state in set(WebSocketState) - {WebSocketState.CONNECTING}:
        assert WebSocketStep.ACCEPT not in TRANSITIONS[state]
    for state in set(WebSocketState) - {WebSocketState.CONNECTING, WebSocketState.REJECTING}:
        assert WebSocketStep.REJECT not in TRANSITIONS[state]


def test_our_close_frame_is_sent_once() -> None:
    assert [state for state in WebSocketState if WebSocketStep.CLOSE in TRANSITIONS[state]] == [
        WebSocketState.OPEN
    ]
    with pytest.raises(KeyError):
        next_state(WebSocketState.CLOSING, WebSocketStep.CLOSE)
