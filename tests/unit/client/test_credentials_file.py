"""The credentials file survives a loss of power: an older session in it may be the only one."""

import os
import stat
from pathlib import Path

import pytest

from relay.client.credentials import (
    CredentialsFile,
    RelayTokens,
    load_credentials,
    save_credentials,
)

OLD = CredentialsFile("https://old.test", {})
NEW = CredentialsFile("https://relay.test", {"https://relay.test": RelayTokens()})


def test_the_content_is_synced_before_it_replaces_the_old_one_and_the_name_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "credentials.json"
    save_credentials(OLD, path)
    synced: list[tuple[bool, CredentialsFile]] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        sync(descriptor)
        synced.append((os.fstat(descriptor).st_size > 0, load_credentials(path)))

    monkeypatch.setattr(os, "fsync", note)
    save_credentials(NEW, path)
    assert synced == [(True, OLD), (True, NEW)]


def test_a_folder_that_cannot_be_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    path = tmp_path / "credentials.json"
    save_credentials(NEW, path)
    assert load_credentials(path) == NEW
    assert os.listdir(tmp_path) == [path.name]
