"""One Relay that all attacks share, so that a leak of one harms the next.

Beside it stand two whose timeouts are short, each for the tests that are about that one. Tests that
attack nothing have the Relay that those of `e2e/` share.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.accounts import Account
from tests.support.attackers import Attacked
from tests.support.databases import Databases
from tests.support.ledger import Ledger
from tests.support.shared_relay import relay, served

__all__ = ["relay", "served"]


@pytest.fixture(scope="session")
def besieged_database(databases: Databases) -> Iterator[str]:
    with databases.migrated() as database_url:
        yield database_url


@contextmanager
def serving(folder: Path, database_url: str, **settings: Any) -> Iterator[Attacked]:
    program = Attacked(folder, database_url, **settings)
    trio.run(program.start)
    yield program
    trio.run(program.end)


@pytest.fixture(scope="session")
def attacked(
    besieged_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    """It waits for heads and bodies as long as any test takes."""
    with serving(tmp_path_factory.mktemp("attacked"), besieged_database) as program:
        yield program


@pytest.fixture(scope="session")
def short_of_heads(
    besieged_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    """It gives heads, and bodies, little time."""
    folder = tmp_path_factory.mktemp("heads")
    with serving(folder, besieged_database, keep_alive=2, body_timeout=1) as program:
        yield program


@pytest.fixture(scope="session")
def short_of_bodies(
    besieged_database: str, attacked: Attacked, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    """It gives bodies little time; what the first one issued holds here as well."""
    folder, address = tmp_path_factory.mktemp("bodies"), attacked.url
    with serving(folder, besieged_database, body_timeout=1, BASE_URL=address) as program:
        yield program


@pytest.fixture(scope="session")
def victim(attacked: Attacked) -> Account:
    """A user that takes no part in the attack."""
    return trio.run(Ledger(attacked).enrol, "victim", [])
