"""One `relay serve` for many tests. Users never see each other, so a user of its own is enough."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from tests.support.relay_process import Program
from tests.support.relay_server import Relay, running_relay, visiting

ALONE = {"database_url", "clock", "mock_clock", "autojump_clock", "monkeypatch"}
"""What reaches into a Relay: its database, its clock, its constants."""


class SharedRelay(Program):
    """A process with the settings of `running_relay`, and so with Relay's own bounds."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(folder, database_url)
        for bound in ("RELAY_MAX_CONNECTIONS_PER_ADDRESS", "RELAY_MAX_CONNECTIONS_PER_USER"):
            del self.settings[bound]
        self.settings["RELAY_OUTBOUND_PRIVATE"] = "on"
        # a starved machine looks for revocations, folds and answers probes late
        self.altered = {
            "relay.auth.revocations.TRUST_SECONDS": PATIENCE,
            "relay.projection.projector.CATCH_UP_SECONDS": PATIENCE,
            "relay.db.schema_lookup.LOOK_TIMEOUT_SECONDS": PATIENCE,
        }

    @asynccontextmanager
    async def visited(self) -> AsyncIterator[Relay]:
        assert self.process.poll() is None, f"an earlier test ended it:\n{self.stderr}"
        async with visiting(self.url) as relay:
            yield relay


def is_alone(request: pytest.FixtureRequest) -> bool:
    """Whether a test has a Relay of its own, because of a fixture that it uses or of its mark."""
    marked = request.node.get_closest_marker("own_relay") is not None
    return marked or not ALONE.isdisjoint(request.fixturenames)


@pytest.fixture
def served(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Relay]:
    """The test's own Relay, or the one that tests share; neither is started before it is used."""
    if is_alone(request):
        return running_relay(request.getfixturevalue("database_url"))
    shared: SharedRelay = request.getfixturevalue("shared_relay")
    return shared.visited()


@pytest.fixture
async def relay(served: AbstractAsyncContextManager[Relay]) -> AsyncIterator[Relay]:
    """A Relay that serves, and a client of it."""
    async with served as server:
        yield server
