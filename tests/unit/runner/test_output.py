"""Reading a command's output: lines wherever reads cut them, pieces, prompts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.runner.lines import QUIET_SECONDS, LineSplitter
from relay.runner.redaction import MASK, Mask

NO_SECRETS = Mask(())


def read(blocks: list[bytes], mask: Mask = NO_SECRETS, pause: float = 0.0) -> list[str]:
    """The lines sent when these blocks come, `pause` seconds apart."""
    lines, sent, now = LineSplitter(mask), [], 0.0
    for block in blocks:
        sent.append(lines.feed(block, now)[0])
        now += pause
        sent.append(lines.quiet(now))
    sent.append(lines.end()[0])
    return [line for text in sent if text is not None for line in text.split("\n")]


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
    sent = read(data.draw(cuts(text)), Mask(["hunter22"]))
    expected = [line.rpartition("\r")[2].replace("hunter22", MASK) for line in lines]
    assert sent == expected


@settings(deadline=None)
@given(st.data())
def test_a_secret_is_masked_wherever_reads_cut_it_and_however_slowly_it_comes(
    data: st.DataObject,
) -> None:
    text = b"login hunter22hunter22 and hunter2 hunter22"
    sent = read(data.draw(cuts(text)), Mask(["hunter22"]), pause=2 * QUIET_SECONDS)
    assert "hunter22" not in "".join(sent)
    assert "".join(sent) == "login ****** and hunter2 ***"


def test_a_prompt_without_a_newline_is_sent_after_a_while() -> None:
    lines = LineSplitter(NO_SECRETS)
    assert lines.feed(b"Really? [y/N] ", 0.0) == (None, None)
    assert lines.quiet(QUIET_SECONDS / 2) is None
    assert lines.quiet(QUIET_SECONDS) == "Really? [y/N] "
    assert lines.feed(b"y\r\nnext\n", 2.0)[0] == "y\nnext"


def test_an_endless_line_is_sent_in_bounded_pieces() -> None:
    lines = LineSplitter(NO_SECRETS)
    sent = [lines.feed(b"x" * 10_000, 0.0)[0] for _ in range(100)]
    assert sum(len(text) for text in sent if text) >= 900_000
    bar = LineSplitter(NO_SECRETS)
    for number in range(10_000):
        assert bar.feed(b"\r%2d%%" % (number % 100), 0.0)[1] == f"{number % 100:2}%"
    assert bar.end()[0] == "99%"
