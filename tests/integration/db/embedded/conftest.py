"""Data folders; most are a copy of one that was made once."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.embedded import running_postgres
from tests.support.relay_process import copy_data


@pytest.fixture
def new_folder(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a cluster and its password, and nothing else."""
    folder = tmp_path_factory.mktemp("made") / "data"

    async def make() -> None:
        async with running_postgres(folder):
            pass

    trio.run(make)
    for name in ("lock", "postgres.log"):
        (folder / name).unlink()
    return folder


@pytest.fixture
def folder(tmp_path: Path, made_data: Path) -> Path:
    """A data folder with a cluster that ran and stopped."""
    copy_data(made_data, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A data folder that every account could reach, outside pytest's private one."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        yield Path(place, "data")
