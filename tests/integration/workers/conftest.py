"""A service of workers that do what a test says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.stand_in_service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with capture_logs() as log:
        yield Service(tmp_path, log)
