"""A repeated head is recognized, and is never another one than parsing it anew would give."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import Problem
from relay.server.heads import Head, parse_head
from relay.server.repeated_heads import MAX_REMEMBERED_BYTES, LastHead
from tests.support.examples import examples

POST = (
    b"POST /api/webhook/cli HTTP/1.1\r\nHost: relay\r\nAccept: */*\r\n"
    b"Content-Length: 17\r\nConnection: keep-alive\r\n\r\n"
)

names = st.sampled_from([b"Accept", b"X-Content-Length", b"X-Type", b"X-1", b"Connection"])
values = st.sampled_from([b"", b"17", b"content-length: 17", b"a b", b"close", b"17 ", b"\xe9"])
lengths = st.sampled_from(
    [b"Content-Length: 17", b"content-length:17", b"CONTENT-LENGTH:  17\t", b"Content-Length: 0017"]
)
digits = st.sampled_from([b"0", b"7", b"99", b"017", b"100", b"+7", b"7,7", b"", b"\xb9", b"1 2"])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """A head, in which `17` may stand in other fields, too."""
    lines = [b": ".join(field) for field in draw(st.lists(st.tuples(names, values), max_size=4))]
    lines.insert(draw(st.integers(0, len(lines))), draw(lengths))
    return b"\r\n".join([b"POST /17 HTTP/1.1", b"Host: 17", *lines, b"", b""])


@st.composite
def changed(draw: st.DrawFn, raw: bytes) -> bytes:
    """Other digits at one place, or another byte anywhere."""
    if draw(st.booleans()):
        places = [at for at in range(len(raw)) if raw.startswith(b"17", at)]
        at = draw(st.sampled_from(places))
        return raw[:at] + draw(digits) + raw[at + 2 :]
    at = draw(st.integers(0, len(raw) - 5))  # the head ends where it ended
    return raw[:at] + draw(st.binary(max_size=2)) + raw[at + draw(st.integers(0, 2)) :]


def read(head: Head) -> tuple[object, ...]:
    return (head.method, head.target, head.version, head.headers, head.is_ascii, head.is_last)


@given(st.data())
@settings(max_examples=examples(2_000))
def test_a_recalled_head_is_what_parsing_gives(data: st.DataObject) -> None:
    raw = data.draw(heads())
    memory = LastHead()
    memory.remember(raw, parse_head(raw))
    other = data.draw(changed(raw))
    recalled = memory.recall(other)
    if recalled is not None:
        parsed = parse_head(other)
        assert read(recalled) == read(parsed)
        assert recalled.size >= parsed.size
        for name in (b"content-length", b"host", b"connection", b"x-1"):
            assert recalled.all_of(name) == parsed.all_of(name)


@pytest.mark.parametrize("value", [b"17", b"99", b"0", b"007"[1:]])
def test_another_length_is_recalled(value: bytes) -> None:
    memory = LastHead()
    memory.remember(POST, parse_head(POST))
    raw = POST.replace(b"17", value)
    recalled = memory.recall(raw)
    assert recalled is not None
    assert read(recalled) == read(parse_head(raw))
    assert recalled.get(b"content-length") == value


def test_heads_do_not_share_what_an_application_may_change() -> None:
    memory = LastHead()
    first = parse_head(POST)
    memory.remember(POST, first)
    second = memory.recall(POST)
    assert second is not None
    second.headers.clear()
    third = memory.recall(POST)
    assert third is not None
    assert third.headers == first.headers != []


@pytest.mark.parametrize(
    "raw",
    [
        POST.replace(b"17", b"170"),  # longer
        POST.replace(b"17", b""),
        POST.replace(b"17", b"-1"),
        POST.replace(b"17", b"1\n"),
        POST.replace(b"*/*", b"*/+"),
        POST.replace(b"Content-Length: 17\r\n", b""),
        b"",
    ],
)
def test_anything_else_is_not_recalled(raw: bytes) -> None:
    memory = LastHead()
    memory.remember(POST, parse_head(POST))
    assert memory.recall(raw) is None


def test_only_the_last_head_is_remembered() -> None:
    memory = LastHead()
    memory.remember(POST, parse_head(POST))
    for other in (
        b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n",
        POST.replace(b"*/*", b"a" * MAX_REMEMBERED_BYTES),
    ):
        memory.remember(other, parse_head(other))
        assert memory.recall(other) is None
        assert memory.recall(POST) is None
        memory.remember(POST, parse_head(POST))
        assert memory.recall(POST) is not None


def test_many_digits_are_left_to_the_parser() -> None:
    raw = POST.replace(b"17", b"0" * 19 + b"7")
    memory = LastHead()
    memory.remember(raw, parse_head(raw))
    assert memory.recall(raw) is None
    with pytest.raises(Problem):
        parse_head(POST.replace(b"17", b"9" * 20))
