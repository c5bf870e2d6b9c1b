"""The transition table of a WebSocket: what may follow, and that every path ends."""

import itertools

import pytest

from relay.server.websocket_states import TRANSITIONS, State, Step, advanced

ACCEPTED = (Step.ACCEPT, Step.CLOSE, Step.END)
REJECTED = (Step.REJECT, Step.END)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", State)
def test_the_client_may_disconnect_in_every_state(state: State) -> None:
    assert advanced(state, Step.END) is State.CLOSED


@pytest.mark.parametrize("steps", [ACCEPTED, REJECTED])
def test_a_complete_exchange_ends_closed(steps: tuple[Step, ...]) -> None:
    *_, end = itertools.accumulate(steps, advanced, initial=State.CONNECTING)
    assert end is State.CLOSED


def test_the_closed_state_is_final() -> None:
    assert set(TRANSITIONS[State.CLOSED].values()) == {State.CLOSED}


def test_a_handshake_is_decided_once() -> None:
    for state in set(State) - {State.CONNECTING}:
        assert Step.ACCEPT not in TRANSITIONS[state]
    for state in set(State) - {State.CONNECTING, State.REJECTING}:
        assert Step.REJECT not in TRANSITIONS[state]


def test_our_close_frame_is_sent_once() -> None:
    assert [state for state in State if Step.CLOSE in TRANSITIONS[state]] == [State.OPEN]
    with pytest.raises(KeyError):
        advanced(State.CLOSING, Step.CLOSE)
