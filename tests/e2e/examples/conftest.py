"""A machine where recipes are run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import HeldPort
from tests.support.recipes import Machine
from tests.support.relay_server import Relay


@pytest.fixture
async def machine(relay: Relay, tmp_path: Path) -> Machine:
    user = await relay.user()
    return Machine(tmp_path, user, await user.hook())


@pytest.fixture
def away() -> Iterator[str]:
    """An address on which no program listens."""
    with HeldPort() as port:
        yield f"http://127.0.0.1:{port.number}"
