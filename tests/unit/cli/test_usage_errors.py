"""Slips on the command line are named, with what was probably meant, before anything is sent."""

import pytest
from click.testing import CliRunner

from relay.auth.tokens import MAX_LIFETIME_SECONDS
from relay.cli.main import OTHER_NAMES, LazyGroup, main
from relay.cli.token import MAX_LIFETIME_DAYS

# nothing listens there: a slip that is let through ends with another code
AWAY = {"RELAY_URL": "http://127.0.0.1:9", "RELAY_TOKEN": "token"}
PROGRESS = ("send", "task_progress", "--progress")
DURATION = ("send", "log", "--duration")

SLIPS = [
    ((*PROGRESS, "50"), "'50' is not between 0 and 1; write 50 % as 0.5"),
    ((*PROGRESS, "12.5%"), "'12.5%' is not between 0 and 1; write 12.5 % as 0.125"),
    ((*PROGRESS, "100"), "'100' is not between 0 and 1; write 100 % as 1"),
    ((*PROGRESS, "150"), "'150' is not between 0 and 1; write 40 % as 0.4"),
    ((*PROGRESS, "-1"), "'-1' is not between 0 and 1; write 40 % as 0.4"),
    *(
        ((*PROGRESS, text), f"{text!r} is not between 0 and 1; write 40 % as 0.4")
        for text in ("nan", "NaN", "-nan", "inf", "-inf", "1e400", "Infinity", "half", "")
    ),
    *(
        ((*command, text), f"{text!r} is not a finite number")
        for command in (DURATION, ("send", "log", "--wait"), ("run", "--wait"))
        for text in ("nan", "inf", "+inf", "infinity", "1e400")
    ),
    ((*DURATION, "-1"), "-1.0 is not in the range x>=0"),
    ((*DURATION, "soon"), "'soon' is not a valid float"),
    (("send", "log", "--exit-code", "9" * 30), "is not in the range"),
    (("send", "log", "--exit-code", "9" * 5_000), "is not a valid integer"),
    (("token", "create", "--expires", "500d"), "'--expires': '500d' is longer than 400d"),
    (("token", "create", "--expires", "9601h"), "'9601h' is longer than 400d"),
    (("token", "create", "--expires", "1y"), "'1y' is not like 90d, 12h, 30m or 45s"),
    (("tial",), "There is no command 'tial'. Did you mean 'tail'?"),
    (("watch",), "Did you mean 'tail'?"),
    (("publish", "log"), "Did you mean 'send'?"),
    (("sh", "-c", "true"), "To run 'sh' and watch it: relay run -- sh -c true"),
    (("no-such-program-at-all",), "There is no command 'no-such-program-at-all'."),
    (("token", "lst"), "'list'"),
    (("send", "log", "--mesage", "x"), "'--message'"),
    (("send", "task_sucess"), "Did you mean 'task_succeeded'"),
    (("send", "log", "hello", "world"), '--message "hello world"'),
    (("tasks", "--state", "runing"), "Did you mean 'running'"),
    (("channels", "add", "ntfy", "x", "--on", "failed, lots"), "'lots' is not of failed, lost"),
    (("channels", "add", "ntfy", "x", "--on", "failed, lots"), "Did you mean 'lost'"),
    (("tasks", "--rebuild", "--watch"), "--watch cannot be used with --rebuild"),
    (("tasks", "--user", "0" * 32), "--user cannot be used without --rebuild"),
    (("tasks", "--watch", "--hidden"), "--hidden cannot be used with --watch"),
    (("tasks", "--all", "--limit", "3"), "--all and --limit cannot be used together"),
    (("log", "t", "--run", "0"), "0 is not in the range"),
    (("ps",), "Did you mean 'tasks'?"),
    (("logs", "t"), "Did you mean 'log'?"),
    *(
        (words, "'caf\\udce9' is not UTF-8")
        for words in (
            ("log", "caf\udce9"),
            ("tasks", "--search", "caf\udce9"),
            ("tail", "--after", "caf\udce9"),
            ("ask", "caf\udce9"),
            ("token", "create", "--name", "caf\udce9"),
            ("channels", "add", "ntfy", "caf\udce9"),
        )
    ),
    (("\x1b]52;c;x\x07tail\x9b31m",), "There is no command"),
]


@pytest.mark.parametrize(("words", "expected"), SLIPS)
def test_a_slip_is_named(words: tuple[str, ...], expected: str) -> None:
    ended = CliRunner().invoke(main, words, env=AWAY)
    line = ended.stderr.splitlines()[-1]
    assert (ended.exit_code, ended.stdout) == (2, ""), ended.stderr
    assert expected in line
    assert line.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "https://relay..example.com",
        "http://.",
        f"http://{'a' * 64}.example",
        "http://\u2603.example",
        "http://xn--",
        "http://[v1.x]",
    ],
)
def test_a_slip_in_the_host_is_named(url: str) -> None:
    for words in (("whoami",), ("send", "log"), ("ask", "Deploy?"), ("stop", "t")):
        ended = CliRunner().invoke(main, words, env={**AWAY, "RELAY_URL": url})
        assert (ended.exit_code, ended.stdout) == (2, ""), ended.stderr
        assert ended.stderr.startswith(f"Error: {url!r} is not the address of a Relay, like ")


def test_other_names_lead_to_commands_and_hide_none() -> None:
    assert set(OTHER_NAMES.values()) <= set(LazyGroup.summaries)
    assert not set(OTHER_NAMES) & set(LazyGroup.summaries)


def test_the_longest_lifetime_is_that_of_the_server() -> None:
    assert MAX_LIFETIME_DAYS * 86_400 == MAX_LIFETIME_SECONDS
