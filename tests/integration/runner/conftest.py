"""A home of the test's own, and a Relay with scripted answers."""

import pytest

from tests.support.client_fixtures import _patient, away, home, stand_in
from tests.support.commands import environment
from tests.support.pipelines import PROMPT
from tests.support.stand_in import TOKEN, StandIn

__all__ = ["_patient", "away", "home", "stand_in"]


@pytest.fixture
def env(stand_in: StandIn) -> dict[str, str]:
    return environment(RELAY_URL=stand_in.url, RELAY_TOKEN=TOKEN, PS1=PROMPT.decode(), TERM="dumb")
