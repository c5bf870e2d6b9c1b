"""A database, and senders that look often."""

from collections.abc import AsyncIterator

import pytest

from relay.channels import senders
from relay.db.pool import Database, open_database
from tests.support.patience import LOOK_EVERY, PATIENCE


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, connections=4, timeout=PATIENCE) as opened:
        yield opened


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "LOOK_SECONDS", LOOK_EVERY)
