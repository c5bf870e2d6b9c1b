"""Lines of a file, of any length, come out whole and in order."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client.spool import Owner, Spool, new_spool

OWNER = Owner("http://relay.test", "user")
SIZE = 64  # bytes of one read


def drained(spool: Spool) -> list[bytes]:
    """All events of a file, as a sender takes them."""
    taken: list[bytes] = []
    while lines := spool.head(3, SIZE):
        taken += lines
        spool.drop(lines)
    return taken


@given(st.lists(st.integers(1, 4 * SIZE), max_size=12), st.integers(0, 3 * SIZE))
def test_every_whole_line_is_read_and_a_torn_end_is_not(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], torn: int
) -> None:
    spool = new_spool(OWNER, tmp_path_factory.mktemp("spool"))
    lines = [str(at % 10).encode() * length + b"\n" for at, length in enumerate(lengths)]
    for line in lines:
        assert spool.add(line)
    if torn:
        spool.add(b"x" * torn)
    assert drained(spool) == lines
    assert spool.waiting == 0
    spool.close()
    assert not spool.path.exists()


def test_a_carriage_return_ends_no_line(tmp_path: Path) -> None:
    spool = new_spool(OWNER, tmp_path)
    spool.add(b"damaged\rline\n")
    assert drained(spool) == [b"damaged\rline\n"]
    spool.close()
