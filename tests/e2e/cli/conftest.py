"""A home of the test's own, and a Relay with scripted answers."""

from pathlib import Path

import pytest

from tests.support.client_fixtures import _patient, away, home, stand_in
from tests.support.machine import Machine

__all__ = ["_patient", "away", "home", "stand_in"]


@pytest.fixture
def laptop(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "laptop")


@pytest.fixture
def phone(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "phone")
