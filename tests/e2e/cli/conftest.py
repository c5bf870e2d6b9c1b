"""A home of the test's own, and a Relay that answers as it is told to."""

from tests.support.client_fixtures import _patient, away, home, stand_in

__all__ = ["_patient", "away", "home", "stand_in"]
