"""Reading a command's output: lines, bars, progress, and masked secrets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.runner.lines import QUIET_SECONDS, LineSplitter
from relay.runner.progress import progress_of_bar, progress_of_lines
from relay.runner.redaction import MASK, Mask, secrets_of

NOBODY = Mask(())


def read(blocks: list[bytes], mask: Mask = NOBODY, pause: float = 0.0) -> list[str]:
    """The lines told when these blocks come, `pause` seconds apart."""
    lines, told, now = LineSplitter(mask), [], 0.0
    for block in blocks:
        told.append(lines.feed(block, now)[0])
        now += pause
        told.append(lines.quiet(now))
    told.append(lines.end())
    return [line for text in told if text is not None for line in text.split("\n")]


@st.composite
def cuts(draw: st.DrawFn, text: bytes) -> list[bytes]:
    at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]


PRINTED = ["plain", "", "\x1b[31mred\x1b[0m", "ümlaut 😀", "half\rwhole", "the token is hunter22!"]


@settings(deadline=None)
@given(st.data(), st.lists(st.sampled_from(PRINTED), min_size=1, max_size=10))
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_are_the_same_wherever_reads_cut_them(
    newline: str, data: st.DataObject, lines: list[str]
) -> None:
    text = "".join(line + newline for line in lines).encode()
    told = read(data.draw(cuts(text)), Mask(["hunter22"]))
    expected = [line.rpartition("\r")[2].replace("hunter22", MASK) for line in lines]
    assert told == expected


@settings(deadline=None)
@given(st.data())
def test_a_secret_is_masked_wherever_reads_cut_it_and_however_slowly_it_comes(
    data: st.DataObject,
) -> None:
    text = b"login hunter22hunter22 and hunter2 hunter22"
    told = read(data.draw(cuts(text)), Mask(["hunter22"]), pause=2 * QUIET_SECONDS)
    assert "hunter22" not in "".join(told)
    assert "".join(told) == "login ****** and hunter2 ***"


def test_a_prompt_without_a_newline_is_sent_after_a_while() -> None:
    lines = LineSplitter(NOBODY)
    assert lines.feed(b"Really? [y/N] ", 0.0) == (None, None)
    assert lines.quiet(QUIET_SECONDS / 2) is None
    assert lines.quiet(QUIET_SECONDS) == "Really? [y/N] "
    assert lines.feed(b"y\r\nnext\n", 2.0)[0] == "y\nnext"


def test_an_endless_line_is_sent_in_bounded_pieces() -> None:
    lines = LineSplitter(NOBODY)
    told = [lines.feed(b"x" * 10_000, 0.0)[0] for _ in range(100)]
    assert sum(len(text) for text in told if text) >= 900_000
    bar = LineSplitter(NOBODY)
    for number in range(10_000):
        assert bar.feed(b"\r%d%%" % (number % 100), 0.0)[1] == f"{number % 100}%"
    assert len(bar._rest) < 10


def test_full_screen_output_is_not_logged() -> None:
    painted = b"before\n\x1b[?1049h\x1b[2J~\n~\n" + b"text\n\x1b[?1049lafter\n"
    assert read([painted]) == ["before", "after"]


@pytest.mark.parametrize(
    ("bar", "fraction"),
    [
        (" 42%|████▏     | 42/100 [00:01<00:02, 29.1it/s]", 0.42),
        ("\x1b[32m 7.5%\x1b[0m downloading", 0.075),
        ("Receiving objects:  63% (630/1000)", 0.63),
        ("3/10", 0.3),
        ("=====>    100 %", 1.0),
        ("120%", None),
        ("spinning |", None),
        ("0/0", None),
    ],
)
def test_progress_is_read_from_bars(bar: str, fraction: float | None) -> None:
    found = progress_of_bar(bar)
    assert (found.fraction if found else None) == fraction


@pytest.mark.parametrize(
    ("line", "fraction"),
    [
        ("[ 42%] Building CXX object src/a.o", 0.42),
        ("tests/test_a.py ........          [ 77%]", 0.77),
        ("[3/10] cc -c a.c", 0.3),
        ("Epoch 3/10 loss 0.1", 0.3),
        ("Step 3/10 : RUN make", 0.3),
        ("processing file 9/12: a.txt", 0.75),
        ("released on 2024/10", None),
        ("see /usr/3/10", None),
        ("the disk is 93% full", None),
        ("we took 1/2 cup", None),
        ("http://example.com/3/10", None),
        ("5/3 of it", None),
    ],
)
def test_progress_is_read_from_lines(line: str, fraction: float | None) -> None:
    found = progress_of_lines(f"something\n{line}\nsomething else")
    assert (found.fraction if found else None) == fraction


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


def test_short_secrets_match_as_words_and_long_ones_line_by_line() -> None:
    mask = Mask(["abc", "-----BEGIN-----\nMIIEpAIB\n-----END-----\n", "a b/c+d&e"])
    assert mask("abc MIIEpAIB abcdef a%20b%2Fc%2Bd%26e") == f"abc {MASK} abcdef {MASK}"
