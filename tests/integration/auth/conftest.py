"""Fixtures for credentials."""

from collections.abc import AsyncIterator

import pytest

from relay.db.pool import Database
from tests.support.databases import database_of


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_of(database_url) as database:
        yield database
