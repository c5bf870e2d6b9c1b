"""How the command line prints: the only module that writes text to stdout and stderr.

Each call writes one line, and the line is cleaned: it may hold text of a server, of a file or of
the command line, which a terminal must not obey.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any, TextIO

import click
import msgspec

from relay.cli.exit_codes import Failed
from relay.client.plain_text import (
    NO_COLOUR,
    clean,
    colours_stay_on,
    escape_json_line,
    keep_colours,
    printed_lines,
)


def escape_unencodable() -> None:
    """Have all that is printed escaped where an encoding has no such character, as in Latin-1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal. None is one that was closed when Python started."""
    return stream is not None and stream.isatty()


@contextmanager
def to_stdout() -> Iterator[None]:
    """Write to stdout. Raises Failed if it takes nothing, BrokenPipeError if it has no reader."""
    try:
        yield
    except OSError as error:
        _discard_the_rest()
        if isinstance(error, BrokenPipeError):
            raise
        raise Failed(f"stdout cannot be written: {error.strerror}.") from error


def _discard_the_rest() -> None:
    """Lead stdout nowhere: Python writes what is left in its buffer, and would fail once more."""
    with suppress(OSError):  # of a stream without a descriptor
        stdout, nowhere = sys.stdout.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stdout)
        os.close(nowhere)


@to_stdout()
def show(line: str = "", *, bold: str = "") -> None:
    """Print a line on stdout. In a terminal, the part `bold` of it is bold."""
    text = _encodable(clean(line), sys.stdout)
    if marked := clean(bold):
        text = text.replace(marked, click.style(marked, bold=True), 1)
    click.echo(text)


def note(line: str) -> None:
    """Print a line on stderr, which is for people: stdout has the result alone.

    Where stderr is closed, full or without a reader, the work goes on, and its exit code counts.
    """
    with suppress(OSError):
        click.echo(_encodable(clean(line), sys.stderr), err=True)


@to_stdout()
def show_json(value: Any) -> None:
    """Print a value as a line of JSON. A terminal gets its control characters escaped."""
    encoded = msgspec.json.encode(value)
    if is_terminal(sys.stdout):
        encoded = escape_json_line(encoded)
    click.echo(encoded)


@to_stdout()
def show_json_lines(lines: Iterable[bytes]) -> None:
    """Write lines of JSON at once, byte for byte. On a terminal, control characters are escaped."""
    if sys.stdout is None:
        return
    if sys.stdout.isatty():
        lines = map(escape_json_line, lines)
    sys.stdout.buffer.write(b"".join(line + b"\n" for line in lines))
    sys.stdout.buffer.flush()


@to_stdout()
def show_printed(messages: Iterable[str]) -> None:
    """Write the messages of a log as they were printed, each with a line end.

    A terminal gets their colours, unless NO_COLOR is set, and no other control sequences. Colours
    that are on after the last one are turned off: what comes next is not theirs.
    """
    if sys.stdout is None:
        return
    if not sys.stdout.isatty():
        ended = (text if text.endswith("\n") else f"{text}\n" for text in messages)
        sys.stdout.buffer.write("".join(ended).encode(errors="replace"))
        sys.stdout.buffer.flush()
        return
    keep = clean if os.environ.get("NO_COLOR") else keep_colours
    coloured = False
    try:
        for line in chain.from_iterable(map(printed_lines, messages)):
            shown = _encodable(keep(line), sys.stdout)
            coloured = colours_stay_on(shown, coloured)
            click.echo(shown)
    finally:
        if coloured:
            click.echo(NO_COLOUR, nl=False)


def confirm(question: str) -> None:
    """Ask, and go on only after a yes. Raises click.Abort, KeyboardInterrupt."""
    with _interruptions():
        click.confirm(clean(question), abort=True)


def ask_for(name: str) -> str:
    """What a person types, asked for on stderr. Raises click.Abort, KeyboardInterrupt."""
    with _interruptions():
        return str(click.prompt(clean(name), err=True))


@contextmanager
def _interruptions() -> Iterator[None]:
    """Raise Ctrl-C at a question as what it is: click takes it for the answer no."""
    try:
        yield
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            note("")  # ends the line of the question
            raise KeyboardInterrupt from error
        raise


@contextmanager
def clean_errors() -> Iterator[None]:
    """Clean the message of each ClickException that passes: click prints it itself."""
    try:
        yield
    except click.ClickException as error:
        line = _encodable(clean(error.message), sys.stderr)
        error.message = line  # type: ignore[misc] # final for subclasses; click prints this one
        raise


def _encodable(text: str, stream: TextIO | None) -> str:
    """The text with escapes for characters that the stream's encoding does not have.

    None is a stream that was closed when Python started: nothing is printed there.
    """
    encoding = (stream.encoding if stream else None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
