"""A database, senders that look often, and times that no slow machine exceeds."""

from collections.abc import AsyncIterator

import pytest

from relay.channels import attempts, backoff, outbound, senders
from relay.db.pool import Database, open_database
from tests.support.patience import LOOK_EVERY, PATIENCE


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, connections=4, timeout=PATIENCE) as opened:
        yield opened


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "LOOK_SECONDS", LOOK_EVERY)


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has failed is tried again when the test lets the time go by, and not before."""
    monkeypatch.setattr(backoff, "FIRST_PAUSE_SECONDS", PATIENCE)


@pytest.fixture
def patient_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that hangs is waited for to the end of the test."""
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", PATIENCE)
    monkeypatch.setattr(attempts, "ATTEMPT_SECONDS", PATIENCE)
