"""The data folder's signing keys are made once, and are on the disk before anything is signed."""

import os
import stat
import threading
from pathlib import Path

import pytest

from relay.config.parsers import SigningKey
from relay.db.source import NoDatabase, _load_or_create_keys


@pytest.mark.parametrize("number", range(20))
def test_of_two_that_make_them_at_once_both_have_those_in_the_file(
    tmp_path: Path, number: int
) -> None:
    together, made = threading.Barrier(2), list[tuple[SigningKey, ...]]()

    def make() -> None:
        together.wait()
        made.append(_load_or_create_keys(tmp_path))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [_load_or_create_keys(tmp_path)] * 2
    assert os.listdir(tmp_path) == ["signing.keys"]


def test_what_a_killed_process_had_begun_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "signing.new").write_text("k1:" + "x" * 200)
    (key,) = _load_or_create_keys(tmp_path)
    assert len((tmp_path / "signing.keys").read_text().splitlines()) == 1
    assert "xxxx" not in (tmp_path / "signing.keys").read_text()
    assert _load_or_create_keys(tmp_path) == (key,)


def test_the_file_is_synced_and_then_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bool]] = []
    sync, path = os.fsync, tmp_path / "signing.keys"

    def note(descriptor: int) -> None:
        sync(descriptor)
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))

    monkeypatch.setattr(os, "fsync", note)
    _load_or_create_keys(tmp_path)
    assert synced == [(False, False), (True, True)]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "contains no key"),
        ("k1:short", "has a secret (k1) shorter than 32 bytes"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_a_file_without_usable_keys_is_named(tmp_path: Path, written: str | None, why: str) -> None:
    path = tmp_path / "signing.keys"
    if written is None:
        path.mkdir()
    else:
        path.write_text(written)
    with pytest.raises(NoDatabase) as raised:
        _load_or_create_keys(tmp_path)
    assert str(raised.value) == f"{path} {why}"
