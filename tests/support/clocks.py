"""A clock that is wrong, for the part of Relay that reads the times of its tokens."""

import time
from types import SimpleNamespace

import pytest


def behind(patched: pytest.MonkeyPatch, *, days: float) -> None:
    """Tokens are read by a clock that is so far behind."""
    wrong = SimpleNamespace(time=lambda: time.time() - days * 86_400)
    patched.setattr("relay.auth.tokens.time", wrong)
