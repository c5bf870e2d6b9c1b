"""`relay ask`: asks a person, and prints the answer."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click
import msgspec

from relay.cli.api_calls import report_refusals
from relay.cli.durations import Duration
from relay.cli.exit_codes import ASK_EXPIRED, ASK_FAILED, ASK_WITHDRAWN, Failed
from relay.cli.numbers import FiniteNumber
from relay.cli.options import credentials, relay_options
from relay.cli.output import note, show, show_json
from relay.cli.standard_input import open_stdin
from relay.client.asking import MAX_DETAILS_BYTES, Asking, AskOutcome

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal is closed


@click.command("ask")
@click.argument("question")
@click.option(
    "--options", metavar="A,B,…", help="Answers to choose from, 2 to 10. Without it: any text."
)
@click.option(
    "--timeout",
    type=Duration(least="10s", most="7d"),
    default="1h",
    metavar="DURATION",
    help="How long an answer is waited for: 90s, 15m, 1h, 7d [1h].",
)
@click.option(
    "--details",
    metavar="JSON",
    help="What the person should see before answering; `-` reads it from stdin.",
)
@click.option(
    "--wait",
    type=FiniteNumber(0),
    metavar="SECONDS",
    help="Wait this long for a Relay that is away [as long as for the answer].",
)
@click.option("--task-id", metavar="ID", help="Id of the task that asks.")
@click.option("--json", "as_json", is_flag=True, help="Print state and answer as JSON.")
@relay_options
def command(
    question: str,
    options: str | None,
    timeout: int,
    details: str | None,
    wait: float | None,
    task_id: str | None,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Ask a question on your page and your other devices, and print the answer.

    Exit code 0: the first option, or a text. 1: another option. 124: no answer in time. 3: the ask
    was withdrawn. 7: it could not be asked. Nothing but an answer counts as consent. Interrupted,
    or when its terminal is closed, it withdraws the ask.

    \b
    Examples:
      relay ask "Deploy build 17?" --options yes,no && ./deploy
      name=$(relay ask "Which branch?" --timeout 15m)
      relay ask "Apply?" --options apply,stop --details - < plan.json
    """
    with _failures():
        choices = _read_options(options)
        shown = _read_details(details)
        found = credentials(url, token)
        for number in END_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
                signal.signal(number, _exit_on_signal)
        with report_refusals(found), Asking(found, patience=wait) as asking:
            asking.open(question, choices, seconds=timeout, details=shown, task_id=task_id)
            note(f"Waiting for an answer at {found.url}")
            outcome = asking.wait()
        _show_outcome(outcome, as_json=as_json)
    if outcome.state != "answered":
        sys.exit(ASK_EXPIRED if outcome.state == "expired" else ASK_WITHDRAWN)
    sys.exit(0 if not choices or outcome.answer == choices[0] else 1)


def _show_outcome(outcome: AskOutcome, *, as_json: bool) -> None:
    """Print the answer, or say that there is none. Raises Failed, BrokenPipeError."""
    if as_json:
        show_json({"state": outcome.state, "answer": outcome.answer})
    elif outcome.answer is not None:
        show(outcome.answer)
    else:
        note(
            "There was no answer in time."
            if outcome.state == "expired"
            else "The ask was withdrawn."
        )


@contextmanager
def _failures() -> Iterator[None]:
    """Give each failure another exit code than an answer has."""
    try:
        yield
    except click.ClickException as error:
        if error.exit_code == 1:
            raise Failed(error.message, ASK_FAILED) from error
        raise
    except BrokenPipeError as error:
        raise Failed("stdout has no reader", ASK_FAILED) from error
    except Exception as error:
        why = (
            f"the ask failed: {type(error).__name__}. This is a defect of Relay; please report it."
        )
        raise Failed(why, ASK_FAILED) from error


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    """Exit. Of later signals, only Ctrl-C ends the withdrawal before it is done.

    The kernel and the shell each send a SIGHUP, and what has started this may send a SIGTERM, too.
    """
    for later in END_SIGNALS:
        is_key = later == signal.SIGINT
        signal.signal(later, signal.default_int_handler if is_key else _do_nothing)
    sys.exit(128 + number)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def _read_options(text: str | None) -> list[str]:
    """The options, in their order. Raises UsageError."""
    if text is None:
        return []
    options = [option.strip() for option in text.split(",")]
    if not 2 <= len(options) <= 10 or not all(options) or len(set(options)) < len(options):
        raise click.UsageError("--options takes 2 to 10 different answers, separated by commas")
    return options


def _read_details(text: str | None) -> Any:
    """The JSON as it was given. Raises UsageError, Failed if there is no stdin to read."""
    if text is None:
        return None
    given = _read_stdin() if text == "-" else os.fsencode(text)
    if len(given) > MAX_DETAILS_BYTES:
        raise click.UsageError(f"--details is larger than {MAX_DETAILS_BYTES} bytes")
    try:
        msgspec.json.decode(given)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise click.UsageError("--details is not JSON") from None
    return msgspec.Raw(given)


def _read_stdin() -> bytes:
    with open_stdin() as stdin:
        return stdin.read(MAX_DETAILS_BYTES + 1)
