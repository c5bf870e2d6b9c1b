"""Where a stream starts: every case of the documented table."""

from itertools import product

import pytest

from relay.errors import BadCursor, BadRequest
from relay.events import MAX_SEQ, Cursor, StreamHead
from relay.realtime.resume import (
    MAX_LAST,
    Position,
    Start,
    TrimmedRange,
    locate,
    parse_count,
    parse_start,
)

OWN, OTHER = "0123456789abcdef0123", "f" * 20

# every stream of up to five events, of which any number of old ones were trimmed
HEADS = [StreamHead(OWN, oldest, last) for last in range(6) for oldest in range(1, last + 2)]
CURSORS = [Cursor(epoch, seq) for epoch, seq in product((OWN, OTHER), range(8))]


def by_the_table(
    cursor: Cursor, head: StreamHead
) -> tuple[bool, str | None, TrimmedRange | None, list[int]]:
    """Resumed, why not, what is missing, and the stored seqs that follow: as the contract says."""
    stored = list(range(head.oldest, head.last + 1))
    if cursor.epoch != head.epoch:
        return False, "epoch", None, stored
    if cursor.seq > head.last:
        return False, "ahead", None, stored
    unseen = range(cursor.seq + 1, head.last + 1)
    trimmed = [seq for seq in unseen if seq < head.oldest]
    gap = TrimmedRange(trimmed[0], trimmed[-1]) if trimmed else None
    return True, None, gap, [seq for seq in unseen if seq >= head.oldest]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: f"{head.oldest}-{head.last}")
def test_a_cursor_resolves_as_the_table_says(head: StreamHead) -> None:
    for cursor in CURSORS:
        position = locate(Start(after=cursor), head)
        follows = list(range(position.seq + 1, head.last + 1))
        found = (position.resumed, position.reason, position.gap, follows)
        assert found == by_the_table(cursor, head), cursor
        assert (position.epoch, position.oldest) == (head.epoch, head.oldest)
        # the position sent is a cursor that, sent back at once, resumes without a gap
        again = locate(Start(after=Cursor.parse(position.cursor)), head)
        assert (again.seq, again.resumed, again.gap) == (position.seq, True, None)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: f"{head.oldest}-{head.last}")
@pytest.mark.parametrize("default_oldest", [False, True])
def test_a_start_without_a_cursor_is_never_called_resumed(
    head: StreamHead, default_oldest: bool
) -> None:
    stored = list(range(head.oldest, head.last + 1))
    cases: list[tuple[Start, list[int]]] = [(Start(last=n), stored[-n:]) for n in range(1, 8)]
    cases += [(Start(oldest=True), stored), (Start(), stored if default_oldest else [])]
    for start, follows in cases:
        position = locate(start, head, default_oldest=default_oldest)
        assert list(range(position.seq + 1, head.last + 1)) == follows, start
        assert (position.resumed, position.reason, position.gap) == (False, None, None)
        assert (position.epoch, position.oldest) == (head.epoch, head.oldest)
        assert position.outcome == "fresh"


@pytest.mark.parametrize(
    ("position", "outcome"),
    [
        (Position(OWN, 3, 1, 3, True), "resumed"),
        (Position(OWN, 3, 4, 3, True, gap=TrimmedRange(2, 3)), "gap"),
        (Position(OWN, 0, 1, 3, False, "epoch"), "epoch"),
        (Position(OWN, 0, 1, 3, False, "ahead"), "ahead"),
        (Position(OWN, 0, 1, 3, False), "fresh"),
    ],
)
def test_an_outcome_is_one_word_of_a_closed_list(position: Position, outcome: str) -> None:
    assert position.outcome == outcome


ONE, TWO, THREE = Cursor(OWN, 1), Cursor(OWN, 2), Cursor(OWN, 3)


@pytest.mark.parametrize(
    ("last_event_id", "args", "start"),
    [
        (None, {}, Start()),
        (None, {"after": str(THREE)}, Start(after=THREE)),
        (None, {"after": "oldest"}, Start(oldest=True)),
        (None, {"last": "7"}, Start(last=7)),
        (None, {"lastEventId": str(TWO)}, Start(after=TWO)),
        (None, {"lastEventId": str(TWO), "after": str(THREE)}, Start(after=TWO)),
        (None, {"lastEventId": str(TWO), "last": "7"}, Start(after=TWO)),
        ("", {"last": "7"}, Start(last=7)),
        (str(ONE), {}, Start(after=ONE)),
        (str(ONE), {"lastEventId": str(TWO)}, Start(after=ONE)),
        (str(ONE), {"after": str(THREE)}, Start(after=ONE)),
        (str(ONE), {"after": "oldest"}, Start(after=ONE)),
        (str(ONE), {"last": "7"}, Start(after=ONE)),
        ("", {}, Start()),
        ("", {"after": str(THREE)}, Start(after=THREE)),
        ("", {"lastEventId": str(TWO)}, Start(after=TWO)),
    ],
)
def test_the_first_given_cursor_is_used(
    last_event_id: str | None, args: dict[str, str], start: Start
) -> None:
    assert parse_start(args, last_event_id) == start


@pytest.mark.parametrize("known", [None, str(ONE)])
def test_last_and_after_together_are_refused(known: str | None) -> None:
    with pytest.raises(BadRequest, match="`last` and `after`"):
        parse_start({"last": "1", "after": str(ONE)}, known)


MALFORMED = [
    "", "7", OWN, f"{OWN}.", f".{7}", f"{OWN}.-1", f"{OWN}.+1", f"{OWN}.01", f"{OWN}.1 ",
    f" {OWN}.1", f"{OWN}.1\n", f"{OWN}.1.1", f"{OWN}/.1", f"{OWN}.٣", f"{OWN}.1e3",
    f"{OWN}.{MAX_SEQ + 1}", f"{OWN}.{'9' * 19}", f"{OWN}.{'9' * 5000}", f"{'a' * 65}.1",
    "é.1", "latest", "Oldest", "\0.1",
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_cursor_is_refused_in_each_parameter(text: str) -> None:
    with pytest.raises(BadCursor):
        Cursor.parse(text)
    with pytest.raises(BadCursor):
        parse_start({"after": text})
    with pytest.raises(BadCursor):
        parse_start({"lastEventId": text})
    if text:  # an empty header is none
        with pytest.raises(BadCursor):
            parse_start({}, text)


def test_a_cursor_at_the_largest_seq_is_accepted() -> None:
    assert Cursor.parse(f"{OWN}.{MAX_SEQ}") == Cursor(OWN, MAX_SEQ)


@pytest.mark.parametrize("text", ["1", "7", f"{MAX_LAST}", "007"])
def test_a_count_within_its_bounds_is_a_number(text: str) -> None:
    assert parse_count("last", text, MAX_LAST) == int(text)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", "1.0", "1e2", " 1", "1 ", f"{MAX_LAST + 1}", "9" * 5000, "٣", "x"]
)
def test_a_count_out_of_its_bounds_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match="`last` must be a whole number from 1 to 1000"):
        parse_start({"last": text})
