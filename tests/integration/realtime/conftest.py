"""Processes that count their limits together, whatever the machine is busy with."""

import pytest

from relay.realtime.valkey import backplane as valkey_backplane
from relay.realtime.valkey import limits, scripts, shared_places
from tests.support.backplanes import Join, by_valkey, kept_alive, without_pauses
from tests.support.patience import PATIENCE


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no Valkey that is away, and no process that has died."""
    without_pauses(monkeypatch)
    kept_alive(monkeypatch)
    monkeypatch.setattr(scripts, "ANSWER_SECONDS", PATIENCE)
    monkeypatch.setattr(shared_places, "EXPIRY_SECONDS", PATIENCE)
    monkeypatch.setattr(valkey_backplane, "UNKNOWN_SECONDS", 0.0)
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.02)


@pytest.fixture(params=["valkey_cluster_url", "redis_url"])
def valkey_join(request: pytest.FixtureRequest) -> Join:
    """Processes on a cluster of three, and on one server of the other engine."""
    return by_valkey(request.getfixturevalue(request.param))
