"""Secrets are masked in all their spellings, however they are written and cut."""

import base64
import html
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.runner.addresses import secret_spans
from relay.runner.lines import MAX_LINE, QUIET_SECONDS, LineSplitter
from relay.runner.redaction import MASK, Mask, secrets_of
from relay.runner.spellings import MAX_FURTHER, MIN_LENGTH, spellings_of
from tests.support.examples import examples


def test_secret_variables_are_recognised_by_name() -> None:
    secret = {
        "GITHUB_TOKEN": "ghp_aaaa",
        "AWS_SECRET_ACCESS_KEY": "wJalr",
        "DB_PASSWORD": "password-1",
        "db_pwd": "password-2",
        "APIKEY": "key-of-api",
        "DATABASE_URL": "postgresql://me:in-the-url@host/db",
    }
    plain = {
        "PWD": "/home/me",
        "SSH_AUTH_SOCK": "/tmp/agent",
        "KEYBOARD": "german",
        "PATH": "/usr/bin",
        "TOKEN_FILE": "/run/secrets/token",
        "HOMEPAGE": "https://example.com",
    }
    found = secrets_of({**secret, **plain})
    assert found == {*list(secret.values())[:-1], "in-the-url"}


def test_all_addresses_of_a_variable_have_secrets() -> None:
    several = {
        "PIP_ARGS": "--index-url https://bot:first-one@pypi.example/s --no-cache",
        "BROKERS": "amqp://a:second-one@h1:5672,amqp://b:third-one@h2",
        "EXTRA": "https://a:fourth-one@h/s https://ghp_abcdefghijkl@h",
    }
    assert secrets_of(several) == {
        "first-one",
        "second-one",
        "third-one",
        "fourth-one",
        "ghp_abcdefghijkl",
    }


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("git clone https://bot:hunter2@host/x.git", "git clone https://bot:***@host/x.git"),
        ("postgres://u:a@b@host:5432/db?x=1", "postgres://u:***@host:5432/db?x=1"),
        ("failed: redis://:pass@host", "failed: redis://:***@host"),
        ("https://ghp_abcdefghijkl@host/x.git", "https://***@host/x.git"),
        ("git+https://abcdefabcdef0123:x-oauth-basic@h", "git+https://***:***@h"),
        ("amqp://a:one@h,amqp://b:two@h", "amqp://a:***@h,amqp://b:***@h"),
        ("mongodb://u:pass@h1:27017,h2:27017/db", "mongodb://u:***@h1:27017,h2:27017/db"),
        ("https://bot:hun\x1b[1mter2\x1b[0m@host", "https://bot:***\x1b[1m\x1b[0m@host"),
        ('{"url": "https://a:secret@h", "x": "y@z"}', '{"url": "https://a:***@h", "x": "y@z"}'),
        # no secrets
        ("ssh://git@github.com/a/b.git", None),
        ("ssh://some-long-user@host.example", None),
        ("git@github.com:a/b.git", None),
        ("http://127.0.0.1:8000/a@b", None),
        ("see https://example.com/@user:name", None),
        ("mail me@example.com: see https://example.com", None),
        ("https://me@example.com", None),
    ],
)
def test_userinfo_is_masked_by_its_form(text: str, masked: str | None) -> None:
    assert Mask([])(text) == (text if masked is None else masked)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON of PHP": lambda value: json.dumps(value).replace("/", "\\/"),
    "Python": repr,
    "Python in a list with quotes": lambda value: repr(['"', value]),
    "Python bytes": lambda value: repr(value.encode()),
    "shell, single quotes": lambda value: shlex.quote(value),
    "shell, set -x": lambda value: "'" + value.replace("'", "'\\''") + "'",
    "percent": lambda value: quote(value, safe=""),
    "percent, path": quote,
    "percent, lower case": lambda value: re.sub(
        "%..", lambda escape: escape[0].lower(), quote(value, safe="")
    ),
    "form": quote_plus,
    "XML": html.escape,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "Basic, user of 2": lambda value: base64.b64encode(b"ab:" + value.encode()).decode(),
    "Basic, user of 3": lambda value: base64.b64encode(b"bot:" + value.encode()).decode(),
    "Basic, user of 4": lambda value: base64.b64encode(b"bot4:" + value.encode()).decode(),
}
# What is left of a spelling when it is masked: quotes, padding, and the characters of base64
# that depend on what stands beside the secret.
SECRETS = [
    "hunter22",
    'pa"ss\\w0rd!x',
    "it's a secret",
    "p@ss/word+99%",
    "a b&c<d>=$e",
    "a~b`c(d)*#",
    "~home, #1",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", SECRETS)
def test_each_spelling_is_masked(spelling: str, secret: str) -> None:
    written = SPELLINGS[spelling](secret)
    assert MASK in Mask([secret])(f"x {written} y")
    for known in spellings_of([secret]):
        assert known not in Mask([secret])(f"x {written} y")


@pytest.mark.parametrize("secret", [*SECRETS, "über-größe", "日本語の秘密の言葉"])
def test_what_bash_quotes_is_masked(secret: str) -> None:
    command = ["bash", "-c", 'printf %q "$1"', "-", secret]
    shown = subprocess.run(command, env={"LC_ALL": "C.UTF-8"}, check=True, capture_output=True)
    assert Mask([secret])(shown.stdout.decode()) == MASK


def test_the_decoded_form_of_a_secret_is_masked() -> None:
    mask = Mask(["p%40ss%2Fword99"])
    assert mask("auth failed for p@ss/word99, p%40ss%2Fword99") == f"auth failed for {MASK}, {MASK}"
    assert mask(json.dumps({"password": "p@ss/word99"})) == f'{{"password": "{MASK}"}}'


def test_short_values_and_settings_are_ordinary_words() -> None:
    mask = Mask(["abc", "true", "root", "enabled", "x" * (MIN_LENGTH - 1)])
    text = "abc true root enabled xxxxx"
    assert mask(text) == text


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    secret = "-----BEGIN-----\nMIIEpAIB/q\n-----END-----\n"
    mask = Mask([secret])
    assert mask("MIIEpAIB/q abcdef") == f"{MASK} abcdef"
    assert mask(json.dumps(secret)) == rf'"{MASK}\n{MASK}\n{MASK}\n"'


def test_overlapping_secrets_are_one() -> None:
    assert Mask(["abcdefgh", "efghijkl"])("x abcdefghijkl y") == f"x {MASK} y"


def test_the_colours_around_a_secret_stay() -> None:
    mask = Mask(["hunter2-Correct-Horse"])
    text = "\x1b[31mlogin \x1b[0mhunter2-\x1b[1mCorrect-Horse\x1b[0m done"
    assert mask(text) == f"\x1b[31mlogin \x1b[0m{MASK}\x1b[1m\x1b[0m done"
    for escape in (r"\033", r"\e", r"\x1b", r"\u001b"):
        assert mask(f"x hunter2-{escape}[1mCorrect-Horse") == f"x {MASK}{escape}[1m"


def test_the_spellings_of_a_huge_environment_are_bounded() -> None:
    secrets = [f"secret/{number}?" for number in range(5_000)]
    spellings = spellings_of(secrets)
    assert len(spellings) == len(secrets) + MAX_FURTHER
    assert set(secrets) < set(spellings)


colours = st.sampled_from(["", "", "", "\x1b[1m", "\x1b[0;31m", "\x1b[38:5:9m"])
SETTINGS = ("default", "disabled", "enabled", "optional", "required")  # which are not masked
secrets = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Zs", "Zl"]),
    min_size=8,
    max_size=30,
).filter(
    lambda text: (
        text == text.strip()
        and "%" not in text
        and len(set(text)) > 4
        and text.lower() not in SETTINGS  # Hypothesis draws words of the code under test, too
    )
)


@settings(deadline=None, max_examples=examples(300))
@given(st.data(), secrets, st.sampled_from(sorted(SPELLINGS)))
def test_a_secret_is_never_sent(data: st.DataObject, secret: str, spelling: str) -> None:
    """Whatever the spelling, and wherever colours, reads and pauses come in between."""
    written = SPELLINGS[spelling](secret)
    before = data.draw(st.sampled_from(["", "pw: ", "a\n", "b\r"]))
    coloured = "".join(data.draw(colours) + char for char in written)
    text = f"{before}{coloured}\n".encode()
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    blocks = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    lines, now = LineSplitter(Mask([secret])), 0.0
    sent: list[str | None] = []
    for block in blocks:
        sent += lines.feed(block, now)
        now += 2 * QUIET_SECONDS
        sent.append(lines.quiet(now))
    sent += lines.end()
    log = "".join(part for part in sent if part is not None)
    shown = re.sub(r"\x1b\[[\d;:]*m", "", log)
    for known in spellings_of([secret]):
        assert known not in log
        assert known not in shown
    assert MASK in log


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_not_sent_where_a_long_line_is_cut(spelling: str) -> None:
    secret = SECRETS[1]
    written = SPELLINGS[spelling](secret)
    for shift in range(len(written) + 1):
        lines = LineSplitter(Mask([secret]))
        sent = [*lines.feed(b"x" * (MAX_LINE + 1 - shift) + written[:shift].encode(), 0.0)]
        sent += lines.feed(written[shift:].encode() + b"\n", 0.0)
        text = "".join(part for part in sent if part)
        assert MASK in text
        assert not any(known in text for known in spellings_of([secret]))


def test_a_password_in_an_address_is_not_sent_where_a_line_is_cut() -> None:
    address = "https://bot:hunter2@host"
    for shift in range(len(address)):
        lines = LineSplitter(Mask([]))
        sent = [lines.feed(address[:shift].encode(), 0.0)[0], lines.quiet(QUIET_SECONDS)]
        sent += lines.feed(address[shift:].encode() + b"\n", 2.0)
        assert "".join(part for part in sent if part) == "https://bot:***@host"


# Few letters, so that parts of secrets, runs and changes of colour meet in all ways.
pieces = st.sampled_from(
    [
        *("a", "b", "m", "[", ":", "/", "@", " ", "\n", "é", "日", "\x1b", "\\", "0", "-"),
        *("abcdefghijklmn", "://", "\x1b[m", "\x1b[1m", "\x1b[0;31m", "\x1b[m" * 6),
        *(r"\033[1m", r"\u001b[m"),
    ]
)
texts = st.lists(pieces, max_size=30).map("".join)
breaks = st.sampled_from(["\x1b[m", "\x1b[0;31m", "\x1b[m\x1b[1m", "\x1b[m" * 9, r"\e[1m", " "])


@settings(deadline=None, max_examples=examples(500))
@given(st.data(), st.lists(texts, min_size=1, max_size=30))
def test_what_is_left_out_of_the_search_changes_nothing(
    data: st.DataObject, secrets: list[str]
) -> None:
    """The same places are masked as by a search for each spelling without any colour."""
    spellings = spellings_of(set(secrets))
    between = data.draw(st.lists(pieces | st.sampled_from(spellings or ["a"]), max_size=40))
    text = "".join(between)
    for place in data.draw(st.lists(st.integers(0, len(text)), max_size=8)):
        text = text[:place] + data.draw(breaks) + text[place:]
    pattern = re.compile(r"(?:\x1b|\\(?:033|e|x1[bB]|u001[bB]))\[[0-9;:]*m")
    shown = pattern.sub("", text)
    spans = sorted(secret_spans(shown))
    for spelling in spellings:
        spans += [match.span() for match in re.finditer(re.escape(spelling), shown)]
    secret = {at for start, end in spans for at in range(start, end)}
    masked = Mask(secrets)(text)
    kept = "".join(char for at, char in enumerate(shown) if at not in secret)
    assert pattern.sub("", masked).replace(MASK, "") == kept
    assert pattern.findall(masked) == pattern.findall(text)
