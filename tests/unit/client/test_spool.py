"""Lines of a file, of any length, come out whole and in order, also where the disk is full."""

import errno
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client.spool import MAX_AGE_SECONDS, Owner, Spool, adopt, new_spool

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


def test_only_what_is_here_is_removed(tmp_path: Path) -> None:
    spool = new_spool(OWNER, tmp_path)
    lines = [b"one\n", b"two\n", b"three\n"]
    for line in lines[:2]:
        spool.add(line)
    assert [spool.drop(lines), spool.drop(lines[2:])] == [2, 0]
    spool.close()


def test_no_event_is_passed_over_where_the_position_finds_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = new_spool(OWNER, tmp_path)
    lines = [b"one\n", b"two\n", b"three\n", b"four\n"]
    for line in lines[:3]:
        spool.add(line)
    spool.drop(lines[:1])
    write = os.pwrite

    def write_nothing_over(descriptor: int, data: bytes, at: int) -> int:
        """As on a file system that writes what is changed to another place."""
        if at == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data, at)

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", write_nothing_over)
        assert spool.drop(lines[1:3]) == 2
        assert spool.waiting == 0
        assert spool.add(lines[3])
        spool.close()
    left_over = adopt(spool.path, OWNER)
    assert left_over is not None
    assert drained(left_over) == lines[1:]  # the events of the old position come twice
    left_over.close()


def left_behind(folder: Path, content: bytes | None = None) -> Path:
    """A file that seems to be older than any that is kept: an event of the owner's, or this."""
    spool = new_spool(OWNER, folder)
    spool.add(b"the end\n")
    spool.close()
    if content is not None:
        spool.path.write_bytes(content)
    os.utime(spool.path, (time.time() - MAX_AGE_SECONDS - 60,) * 2)
    return spool.path


def test_its_owner_sends_a_file_of_any_age(tmp_path: Path) -> None:
    """A device without a network has no time server either: its clock may be years behind."""
    path = left_behind(tmp_path)
    spool = adopt(path, OWNER)
    assert spool is not None
    assert drained(spool) == [b"the end\n"]
    spool.close()
    assert not path.exists()


@pytest.mark.parametrize("content", [None, b"", b"no file of ours\n", b"x\n{}\n", b"\xff\n{"])
def test_an_old_file_that_is_not_ones_own_is_deleted(tmp_path: Path, content: bytes | None) -> None:
    path = left_behind(tmp_path, content)
    stranger = Owner(OWNER.url, "another")
    os.utime(path)
    assert adopt(path, stranger) is None
    assert path.exists()  # young, so its owner may come back
    os.utime(path, (time.time() - MAX_AGE_SECONDS - 60,) * 2)
    assert adopt(path, stranger) is None
    assert not path.exists()
