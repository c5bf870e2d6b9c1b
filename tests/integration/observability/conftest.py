"""The log of this process, where a test can read it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.log_file import LogFile


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[LogFile]:
    log = LogFile(tmp_path / "log")
    yield log
    log.close()
