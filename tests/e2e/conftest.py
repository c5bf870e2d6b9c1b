"""Fixtures that several of these tests need."""

from functools import partial

import pytest

from relay.channels import backoff
from relay.rate_limiting import Limits
from tests.support.push_service.fixtures import push_packages, pushing
from tests.support.shared_relay import relay, served
from tests.support.stream_answers import lines
from tests.support.waiting_calls import long_waits

__all__ = ["lines", "long_waits", "push_packages", "pushing", "relay", "served"]


@pytest.fixture
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the rate limits no time goes by: what was taken does not come back."""
    monkeypatch.setattr("relay.services.Limits", partial(Limits, clock=lambda: 0.0))


@pytest.fixture
def long_pause(monkeypatch: pytest.MonkeyPatch) -> float:
    """After how many seconds a notification is surely tried again that was not delivered.

    They go by where a test lets them, and not before.
    """
    pause = 300.0  # longer than any patience, shorter than what a receiver asks for
    monkeypatch.setattr(backoff, "FIRST_PAUSE_SECONDS", pause)
    return pause * (1 + backoff.JITTER)
