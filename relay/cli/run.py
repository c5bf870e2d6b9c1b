"""`relay run`: runs a command and publishes its output, progress and result."""

import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial

import click

from relay.cli.completion import command_words
from relay.cli.numbers import FiniteNumber
from relay.cli.options import relay_options
from relay.cli.output import note
from relay.cli.run_notes import Notes
from relay.client.credentials import Credentials, NoCredentials, find_credentials
from relay.client.drafts import new_task_id
from relay.client.stop_listener import OnStop, stop_in_steps
from relay.identifiers import IDENTIFIER_FAULT, is_identifier
from relay.runner.command import WatchedCommand
from relay.runner.inherited import Inherited
from relay.runner.recorder import Recorder
from relay.runner.redaction import Mask, secrets_of
from relay.runner.signal_forwarding import block_signals, receive_signals
from relay.runner.start import (
    CannotStart,
    CannotWatch,
    become_command,
    start_command,
)
from relay.runner.streams import fill_standard_files

# Seconds that a thread may compute before another one runs. Threads copy what the command prints,
# and wait for their turn each time that the command has printed something.
SWITCH_INTERVAL = 0.0005
# They are about the terminal: it has another size, is closed, or is there again.
_NO_END = (signal.SIGWINCH, signal.SIGHUP, signal.SIGCONT)
INCOMPLETE = 1  # exit code in place of 0, as of programs whose output a full disk refuses


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--title", metavar="TEXT", help="Title of the task [the command].")
@click.option("--task-id", metavar="ID", help="Id of the task [a new one each time].")
@click.option(
    "--stoppable",
    is_flag=True,
    help="Let your page stop it: SIGINT, after 10 s SIGTERM, then SIGKILL.",
)
@click.option(
    "--wait",
    type=FiniteNumber(0),
    metavar="SECONDS",
    default=5.0,
    help="At the end, wait this long for Relay [5].",
)
@relay_options
@click.argument(
    "command",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="COMMAND…",
    shell_complete=command_words,
)
def command(
    command: tuple[str, ...],
    title: str | None,
    task_id: str | None,
    stoppable: bool,
    wait: float,
    url: str | None,
    token: str | None,
) -> None:
    """Run a command and publish its output, progress and result to your stream.

    \b
    Examples:
      relay run -- make test
      relay run --title "Nightly backup" -- ./backup.sh /home
      relay run --task-id train --stoppable -- python train.py --epochs 10
      relay run -- sh -c 'make && make install'

    \b
    The command runs as it would on its own: with your terminal, colours, keys and signals. It
    also runs when Relay does not answer. Values of environment variables that look secret are
    masked in what is published. At the end, `relay run` waits up to --wait seconds for Relay.
    Anything not sent by then is saved and sent by your next `relay run`.
    Exit codes: the command's own; 128 + N if signal N ended it; 127 not found, 126 not executable.
    """
    if task_id is not None and not is_identifier(task_id):
        raise click.BadParameter(IDENTIFIER_FAULT, param_hint="--task-id")
    notes = Notes()
    try:
        found = find_credentials(url, token)
    except NoCredentials as error:
        note(f"relay: this run is not published: {error}")
        found = None
    code = _run(command, title, task_id, stoppable, wait, found, notes)
    notes.show_all()
    os._exit(code)  # some threads may still wait for a server or a key


def _run(
    command: Sequence[str],
    title: str | None,
    task_id: str | None,
    stoppable: bool,
    wait: float,
    credentials: Credentials | None,
    notes: Notes,
) -> int:
    """Run the command and record it; returns its exit code."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    recorder = None
    if credentials is not None:
        secrets = Mask({*secrets_of(os.environ), credentials.token})
        words = title or shlex.join(command)
        recorder = Recorder(
            credentials, words, task_id or new_task_id(command[0]), secrets, notes.add
        )
    fill_standard_files()
    inherited = Inherited.read()
    inherited.take_over()
    block_signals()
    began = time.monotonic()
    started, message = None, None
    try:
        started = start_command(command, inherited)
    except CannotWatch as error:
        note(f"relay: this run is not published: {error}; too few files or processes are allowed")
        return _become(command, inherited, notes)
    except CannotStart as error:
        code, message = error.exit_code, str(error)
        notes.add(message)
    watched = None
    if started is not None:
        watched = WatchedCommand(started, recorder.feed if recorder else _discard, notes.add)
        notes.show_next = True
    if recorder is not None:
        # a thread, so not before the command
        recorder.start(_stop_of(watched, recorder) if watched and stoppable else None)
    receive_signals(partial(_on_signal, watched, recorder))
    if watched is not None:
        code, message = _watch(watched)
    notes.show_next = False
    if recorder is not None:
        recorder.finish(code, time.monotonic() - began, message, wait)
    return code


def _become(command: Sequence[str], inherited: Inherited, notes: Notes) -> int:
    """Run the command in place of `relay run`; returns the exit code if it cannot be started."""
    try:
        become_command(command, inherited)
    except CannotStart as error:
        notes.add(str(error))
        return error.exit_code


def _stop_of(watched: WatchedCommand, recorder: Recorder) -> OnStop:
    """What stops the command when a person asks for it."""
    return partial(stop_in_steps, watched.stop, watched.wait_for_end, recorder.tell_stop)


def _watch(watched: WatchedCommand) -> tuple[int, str | None]:
    """Copy the command's output until the command ends.

    Returns the exit code, which is 0 only if stdout is complete, and what the task's end says.
    """
    code = watched.run()
    if code == 0 and watched.unwritten is not None:
        return INCOMPLETE, watched.unwritten
    return code, _ended_by(code - 128) if code > 128 else None


def _on_signal(
    watched: WatchedCommand | None, recorder: Recorder | None, number: int, from_process: bool
) -> None:
    """Forward a signal to the command. Without it, and after its end, end the wait for Relay."""
    if watched is None:
        _end_wait(recorder, number)
    elif number == signal.SIGWINCH:
        watched.resized()
    elif number == signal.SIGCONT:
        if not watched.has_ended:
            watched.continued()
    elif watched.takes(number):
        watched.forward(number, from_process)
    else:
        _end_wait(recorder, number)


def _end_wait(recorder: Recorder | None, number: int) -> None:
    """End the wait for Relay, after a signal that asks for an end."""
    if recorder is not None and number not in _NO_END:
        recorder.give_up()


def _ended_by(number: int) -> str | None:
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return None


def _discard(_stream: str, _block: bytes) -> None:
    """Record nothing: there are no credentials."""
