"""The states of a watched command: every report of the kernel has its transition."""

import pytest

from relay.runner.states import TRANSITIONS, Change, CommandState

WAITED_FOR = {Change.STOPPED, Change.CONTINUED, Change.ENDED}
OF_THE_RUNNER = {Change.RUNNER_STOPPED, Change.RUNNER_CONTINUED}

STARTED = (CommandState.RUNNING, CommandState.STOPPED, CommandState.STOPPED_WITH_RUNNER)


@pytest.mark.parametrize("state", STARTED)
def test_a_started_command_may_stop_continue_and_end_in_every_state(state: CommandState) -> None:
    assert TRANSITIONS[state].keys() >= WAITED_FOR


def test_the_runner_stops_and_continues_only_while_the_command_is_stopped() -> None:
    with_the_runner = {state for state in CommandState if TRANSITIONS[state].keys() & OF_THE_RUNNER}
    assert with_the_runner == {CommandState.STOPPED, CommandState.STOPPED_WITH_RUNNER}


def test_the_runner_stays_stopped_until_the_command_continues_or_ends_or_it_does() -> None:
    leaves = {
        change: state
        for change, state in TRANSITIONS[CommandState.STOPPED_WITH_RUNNER].items()
        if state is not CommandState.STOPPED_WITH_RUNNER
    }
    assert leaves == {
        Change.CONTINUED: CommandState.RUNNING,
        Change.ENDED: CommandState.ENDED,
        Change.RUNNER_CONTINUED: CommandState.STOPPED,
    }


def test_a_command_that_has_ended_changes_no_more_and_any_other_can_end() -> None:
    assert TRANSITIONS[CommandState.ENDED] == {}
    for state in set(CommandState) - {CommandState.ENDED}:
        assert CommandState.ENDED in TRANSITIONS[state].values()
