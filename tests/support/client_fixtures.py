"""A home of the test's own: none of the tester's settings is read or changed.

The two fixtures that every test has patch without the fixture `monkeypatch`: a test that has that
one shares no Relay, `tests/support/shared_relay.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.client import Client
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.stand_in import StandIn


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RELAY_URL", "RELAY_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(tmp_path))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        yield tmp_path


@pytest.fixture(autouse=True)
def _patient() -> Iterator[None]:
    """Where a test says nothing else, a program's end waits for Relay as long as it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client.close, "__defaults__", (PATIENCE,))
        patch.setattr(Client.flush, "__defaults__", (PATIENCE,))
        yield


@pytest.fixture
def away() -> Iterator[str]:
    """An address on which no program listens."""
    with HeldPort() as port:
        yield f"http://127.0.0.1:{port.number}"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server
