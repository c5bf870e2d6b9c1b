"""A Relay with a list of pages that may use it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.pages import CORS
from tests.support.relay_server import Relay, running_relay


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[Relay]:
    async with running_relay(database_url, CORS=CORS) as server:
        yield server
