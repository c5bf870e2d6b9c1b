"""One Relay that strangers attack, test after test: whatever one leaves behind harms the next."""

from collections.abc import Iterator

import pytest
import trio

from tests.conftest import fresh_database
from tests.faults.ledger import Account, Ledger
from tests.security.strangers import Attacked


@pytest.fixture(scope="session")
def attacked(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with fresh_database(postgres) as database_url:
        program = Attacked(tmp_path_factory.mktemp("attacked"), database_url)
        trio.run(program.start)
        yield program
        trio.run(program.end)


@pytest.fixture(scope="session")
def victim(attacked: Attacked) -> Account:
    """Somebody who has done nothing to anybody."""
    return trio.run(Ledger(attacked).enrol, "victim", [])
