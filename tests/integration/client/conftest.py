"""A home of the test's own, and a Relay with scripted answers."""

from tests.support.client_fixtures import _patient, away, home, stand_in

__all__ = ["_patient", "away", "home", "stand_in"]
