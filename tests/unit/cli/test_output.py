"""What the command line prints goes through one module, which lets no control character pass."""

import ast
import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from relay.cli import output
from relay.cli.exit_codes import Failed
from relay.cli.screen import TailScreen
from relay.cli.table import table
from relay.cli.unread_output import exit_when_unread
from relay.client.plain_text import (
    clean,
    escape_json,
    escape_json_line,
    keep_colours,
    printed_lines,
)
from relay.client.stream_messages import StreamEvent

CLI = Path(__file__).parents[3] / "relay" / "cli"
SUPPORT = Path(__file__).parents[2] / "support"
TERMINAL_TEXTS = json.loads((SUPPORT / "terminal_texts.json").read_text())  # the page's, too
COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
PRINTING = {"print", "click.echo", "click.secho", "click.confirm", "click.prompt", "click.style"}
STREAMS = ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__")

CLEANED = [
    ("plain é 日本 😀", "plain é 日本 😀"),
    ("a\x1b]52;c;ZWNobw==\x07b", "ab"),  # OSC: the clipboard
    ("a\x1b]0;title\x1b\\b", "ab"),
    ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
    ("a\x1b]never ended", "a"),
    ("a\x1b[2J\x1b[1;31mred\x1b[0mb", "aredb"),  # CSI
    ("a\x1bPq#0\x1b\\b\x1b_apc\x1b\\c", "abc"),  # DCS, APC
    ("a\x1bcb", "ab"),  # reset
    ("a\x9b31mb\x9d0;t\x9cc", "a31mb0;tc"),  # C1
    ("a\x00\x07\x08\x0b\x0c\r\x7fb", "ab"),
    ("\u202egpj.exe\u2066x\u2069\u202c", "gpj.exex"),  # direction of text
    ("from \u200f1 \u2192 100\u061c\u200e", "from 1 \u2192 100"),
    ("one\ntwo\r\nthree\u2028four\u2029five", "one two three four five"),
    ("a\tb", "a   b"),
    ("\x1b\x1b]52;c;x\x07b", "b"),  # an escape starts over
]


REORDERING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def is_control(character: str) -> bool:
    return ord(character) < 32 or 127 <= ord(character) < 160 or character in REORDERING


@pytest.mark.parametrize(("text", "shown"), CLEANED)
def test_text_is_cleaned(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(("name", "text", "shown"), TERMINAL_TEXTS)
def test_sequences_of_terminals_are_left_out(name: str, text: str, shown: str) -> None:
    assert clean(text) == shown, name
    assert COLOUR.sub("", keep_colours(text)) == shown, name


@given(
    st.text(st.sampled_from("a;[]\\0m\x07\x18\x1b\x9b\x9c\x9d\x7f\n\r\tP_^X\u200f\u202e\u2066é"))
)
def test_no_control_character_is_left_of_any_text(text: str) -> None:
    assert not [character for character in clean(text) if is_control(character)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one", ["one"]),
        ("one\ntwo\r\nthree\u2028four\u2029five", ["one", "two", "three", "four", "five"]),
        ("one\n", ["one"]),
        ("one\n\n", ["one", ""]),
        ("\none", ["", "one"]),
        ("", [""]),
        ("\n", [""]),
        (" 10 %\r 50 %\r100 %\r", ["100 %"]),
        ("10%\r20%\r\r\ndone", ["20%", "done"]),
        ("\x1b[31m10%\x1b[2K\r20%", ["\x1b[31m20%"]),
        ("a\x0bb\x0cc\x1cd\x1ee\x85f", ["a\x0bb\x0cc\x1cd\x1ee\x85f"]),
    ],
)
def test_what_was_printed_has_the_lines_that_the_page_shows(text: str, lines: list[str]) -> None:
    assert printed_lines(text) == lines


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists))
def test_json_on_a_terminal_has_the_same_value_and_no_control_character(value: object) -> None:
    escaped = escape_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(escaped) == value
    assert not [character for character in escaped if is_control(character)]


def test_json_in_a_pipe_stays_as_it_is(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output.show_json({"name": "ci\x9b31m\u202e"})
    assert capfdbinary.readouterr().out == '{"name":"ci\x9b31m\u202e"}\n'.encode()


JSON_TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # UTF-8 has no surrogates


@given(st.recursive(JSON_TEXT | st.integers() | st.none(), st.lists), st.sampled_from("\r\t "))
def test_a_line_on_a_terminal_has_the_same_value(value: object, space: str) -> None:
    written = json.dumps([value], ensure_ascii=False, indent=space).replace("\n", space)
    shown = escape_json_line(written.encode()).decode()
    assert json.loads(shown) == [value]
    assert not [character for character in shown if is_control(character)]


@pytest.mark.parametrize("terminal", [False, True])
def test_events_are_byte_for_byte_in_a_pipe_and_harmless_on_a_terminal(
    terminal: bool, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    line = '{"payload": {"message":"\x9b31m\u202e\\u001b[0m\x7f é"}}'.encode()
    output.show_json_lines([line, line])
    shown = capfdbinary.readouterr().out
    escaped = rb'{"payload": {"message":"\u009b31m\u202e\u001b[0m\u007f ' + "é".encode() + b'"}}'
    assert shown == ((escaped if terminal else line) + b"\n") * 2
    assert json.loads(escaped) == json.loads(line)


@pytest.mark.parametrize("printer", [output.show, output.note])
def test_each_call_prints_one_clean_line(
    printer: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(printer)
    printer("a\x1b]52;c;x\x07\nb: forged")
    captured = capsys.readouterr()
    assert captured.out + captured.err == "a b: forged\n"


def test_a_character_that_the_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    output.show("caf\u00e9 \udcff")
    sys.stdout.flush()
    assert written.getvalue() == b"caf\\xe9 \\udcff\n"


AT = "2026-01-31T12:00:00Z"


class Full(io.StringIO):
    """A stream on a full disk."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("stream", [None, Full()], ids=["closed", "full"])
def test_a_note_that_stderr_does_not_take_is_left_out(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    output.note("lost")


EVENT = StreamEvent(1, "log", AT, AT, msgspec.Raw(b'{"message": "a"}'))
PRINTERS: dict[str, Callable[[], None]] = {
    "show": lambda: output.show("a"),
    "show_json": lambda: output.show_json("a"),
    "show_json_lines": lambda: output.show_json_lines([b"a" * 100_000]),
    "show_printed": lambda: output.show_printed(["a"]),
    "screen": lambda: TailScreen().show([EVENT]),
}


@pytest.mark.parametrize("printer", PRINTERS)
def test_what_a_full_disk_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, printer: str
) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(Failed, match="stdout cannot be written: No space left on device"):
            PRINTERS[printer]()
        full.flush()  # as Python does at its end: what is left is not written once more


def test_a_stdout_without_a_reader_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        with pytest.raises(BrokenPipeError):
            output.show("a")
        unread.flush()


@pytest.mark.parametrize("printer", PRINTERS)
def test_a_closed_stdout_gets_nothing(monkeypatch: pytest.MonkeyPatch, printer: str) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with exit_when_unread():
        PRINTERS[printer]()


@pytest.mark.parametrize(
    ("messages", "end"),
    [
        (["\x1b[31mred\x1b[0m", "plain"], "plain\n"),
        (["\x1b[31mred\x1b[m"], "red\x1b[m\n"),
        (["\x1b[8mhidden from here", "still"], "still\n\x1b[0m"),
        (["\x1b[0m\x1b[1;31mred\nand on"], "and on\n\x1b[0m"),
    ],
)
def test_colours_of_a_log_end_with_it(
    messages: list[str],
    end: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.show_printed(messages)
    assert capsys.readouterr().out.endswith(end)


def test_a_log_in_a_terminal_has_the_lines_that_the_page_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.show_printed(["10%\r20%\rdone", "", "a\x0cb\n\n"])
    assert capsys.readouterr().out == "done\n\nab\n\n"


@pytest.mark.parametrize("error", [click.ClickException, click.UsageError, click.BadParameter])
def test_the_messages_of_errors_are_cleaned(error: type[click.ClickException]) -> None:
    @click.command()
    def fails() -> None:
        with output.clean_errors():
            raise error("bad\x1b]52;c;x\x07\x9b31m\nforged")

    printed = CliRunner().invoke(fails).stderr
    assert not [character for character in printed.replace("\n", "") if is_control(character)]
    assert "\nforged" not in printed


def test_a_hidden_character_takes_no_room_in_a_table() -> None:
    lines = list(table(("NAME", "ID"), [("a\x1b]0;x\x07\nb", "1"), ("abc", "2")]))
    assert lines == ["NAME  ID", "a b   1", "abc   2"]


def calls(path: Path) -> set[str]:
    """The functions that a module calls, as they are written."""
    tree = ast.parse(path.read_text())
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_no_other_module_prints(path: Path) -> None:
    if path.name == "output.py":
        assert {"click.echo", "click.confirm"} <= calls(path)
        return
    past = {
        name
        for name in calls(path)
        if name in PRINTING or (name.startswith(STREAMS) and ".write" in name)
    }
    assert past == set()
    imported = {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "click"
        for alias in node.names
    }
    assert not imported & {"echo", "secho", "confirm", "prompt", "style"}
