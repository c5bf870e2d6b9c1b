"""A stdin that is closed, as of cron jobs, or that has something else than text, is one line."""

import os
import sys

import pytest
from click.testing import CliRunner

from relay.cli.main import main

# nothing listens there: a command that goes on without its stdin ends with another line
AWAY = {"RELAY_URL": "http://127.0.0.1:9", "RELAY_TOKEN": "token"}
ADD = ("channels", "add", "slack", "-")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("ask", "Apply?", "--options", "yes,no", "--details", "-"), 7),  # 1 is an answer
        (("send", "-"), 1),
        (("login", "--with-token"), 1),
        (ADD, 1),
    ],
    ids=lambda it: it[0] if isinstance(it, tuple) else "",
)
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "unreadable"])
def test_a_stdin_that_cannot_be_read_is_named(
    words: tuple[str, ...],
    code: int,
    is_open: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in AWAY.items():
        monkeypatch.setenv(name, value)
    with open(os.open(os.devnull, os.O_WRONLY)) as unreadable:
        monkeypatch.setattr(sys, "stdin", unreadable if is_open else None)
        with pytest.raises(SystemExit) as ended:
            main(words)
    why = "stdin cannot be read: Bad file descriptor" if is_open else "stdin is closed"
    assert (ended.value.code, capsys.readouterr()) == (code, ("", f"Error: {why}\n"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://example.com/caf\xe9".encode("latin-1"), "the text on stdin is not UTF-8"),
        ("https://example.com/".encode("utf-16"), "the text on stdin is UTF-16"),
    ],
)
def test_an_address_that_is_not_utf_8_is_named(text: bytes, why: str) -> None:
    ended = CliRunner().invoke(main, ADD, input=text, env=AWAY)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: {why}")
