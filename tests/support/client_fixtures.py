"""A home of the test's own: none of the tester's settings is read or changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.client import Client
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.stand_in import StandIn


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RELAY_URL", "RELAY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test says nothing else, a program's end waits for Relay as long as it takes."""
    monkeypatch.setattr(Client.close, "__defaults__", (PATIENCE,))
    monkeypatch.setattr(Client.flush, "__defaults__", (PATIENCE,))


@pytest.fixture
def away() -> Iterator[str]:
    """An address on which no program listens."""
    with HeldPort() as port:
        yield f"http://127.0.0.1:{port.number}"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server
