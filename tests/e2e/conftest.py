"""Fixtures that several of these tests need."""

from functools import partial

import pytest

from relay.rate_limiting import Limits
from tests.support.push_service.fixtures import push_packages, pushing
from tests.support.shared_relay import relay, served
from tests.support.stream_answers import lines

__all__ = ["lines", "one_moment", "push_packages", "pushing", "relay", "served"]


@pytest.fixture
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the rate limits no time goes by: what was taken does not come back."""
    monkeypatch.setattr("relay.services.Limits", partial(Limits, clock=lambda: 0.0))
