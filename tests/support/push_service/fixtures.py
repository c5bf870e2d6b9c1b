"""The push service as fixtures, for the folders whose tests use it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.push_service import PushService, push_service, push_service_packages


@pytest.fixture(scope="session")
def push_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return push_service_packages(tmp_path_factory.mktemp("npm"))


@pytest.fixture
async def pushing(push_packages: Path) -> AsyncIterator[PushService]:
    async with push_service(push_packages) as service:
        yield service
