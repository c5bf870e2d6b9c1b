"""The folder of the workers' metrics ends with its supervisor, or with the start of the next."""

import fcntl
import tempfile
from pathlib import Path

import pytest

from relay.workers.metrics_folder import metrics_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_there_for_the_length_of_the_block(temporary: Path) -> None:
    with metrics_folder() as folder, metrics_folder() as another:
        assert {str(path) for path in temporary.iterdir()} == {folder, another}
    assert list(temporary.iterdir()) == []


def test_what_killed_supervisors_left_is_removed_and_nothing_else(temporary: Path) -> None:
    left, used, starting = (temporary / f"relay-metrics-{name}" for name in ("a", "b", "c"))
    for folder in (left, used, starting, temporary / "another"):
        (folder / "waiting").mkdir(parents=True)
        (folder / "counter_1.db").write_bytes(b"\0")
    for folder in (left, used, temporary / "another"):
        (folder / "lock").touch()
    with (used / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with metrics_folder() as own:
            assert not left.exists()
            kept = {used, starting, temporary / "another", Path(own)}
            assert set(temporary.iterdir()) == kept
