"""The states of a command in its terminal, and what changes them. The session leader keeps them."""

from enum import Enum, auto


class CommandState(Enum):
    STARTING = auto()
    RUNNING = auto()
    STOPPED = auto()
    STOPPED_WITH_RUNNER = auto()  # the runner is stopped too, until the command continues
    ENDED = auto()


class Change(Enum):
    """What happened to the command, or what the session leader did to the runner."""

    STARTED = auto()
    FAILED_TO_START = auto()
    STOPPED = auto()
    CONTINUED = auto()
    ENDED = auto()
    RUNNER_STOPPED = auto()
    RUNNER_CONTINUED = auto()


# The kernel keeps one change until it is waited for: of a stop and a continuation between two
# waits the later one alone is seen. So a running command may continue, and a stopped one stop.
TRANSITIONS: dict[CommandState, dict[Change, CommandState]] = {
    CommandState.STARTING: {
        Change.STARTED: CommandState.RUNNING,
        Change.FAILED_TO_START: CommandState.ENDED,
    },
    CommandState.RUNNING: {
        Change.STOPPED: CommandState.STOPPED,
        Change.CONTINUED: CommandState.RUNNING,
        Change.ENDED: CommandState.ENDED,
    },
    CommandState.STOPPED: {
        Change.STOPPED: CommandState.STOPPED,
        Change.CONTINUED: CommandState.RUNNING,
        Change.ENDED: CommandState.ENDED,
        Change.RUNNER_STOPPED: CommandState.STOPPED_WITH_RUNNER,
        Change.RUNNER_CONTINUED: CommandState.STOPPED,
    },
    CommandState.STOPPED_WITH_RUNNER: {
        Change.STOPPED: CommandState.STOPPED_WITH_RUNNER,
        Change.CONTINUED: CommandState.RUNNING,
        Change.ENDED: CommandState.ENDED,
        Change.RUNNER_STOPPED: CommandState.STOPPED_WITH_RUNNER,
        Change.RUNNER_CONTINUED: CommandState.STOPPED,
    },
    CommandState.ENDED: {},
}
