"""A token's times, read by clocks that disagree."""

from uuid import uuid4

import pytest

from relay.auth.tokens import CLOCK_LEEWAY_SECONDS, MAX_LIFETIME_SECONDS, Claims, Keyring, Kind
from relay.config.parsers import signing_keys
from relay.errors import ClockBehind, InvalidToken
from tests.support.clocks import behind
from tests.support.tokens import KEYS

DAY = 86_400
KEYRING = Keyring(signing_keys(KEYS), "https://relay.example")


def test_a_token_of_the_future_is_no_invalid_token(monkeypatch: pytest.MonkeyPatch) -> None:
    token = KEYRING.issue_session(uuid4(), uuid4())
    for days, refused in ((0.0, False), (CLOCK_LEEWAY_SECONDS / DAY / 2, False), (2.0, True)):
        behind(monkeypatch, days=days)
        if refused:
            with pytest.raises(ClockBehind):
                KEYRING.verify(token)
        else:
            KEYRING.verify(token)
    assert KEYRING.verify(token, allow_expired=True).kind is Kind.SESSION  # it is only named


def test_a_lifetime_that_relay_never_gives_is_refused_by_every_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issued = KEYRING.verify(KEYRING.issue_session(uuid4(), uuid4())).issued_at
    ends = issued + MAX_LIFETIME_SECONDS + 1
    token = KEYRING.issue(Claims(uuid4(), uuid4(), Kind.SESSION, (), issued, ends))
    for days in (0.0, 2.0, 1_000.0):
        behind(monkeypatch, days=days)
        for allow_expired in (False, True):
            with pytest.raises(InvalidToken) as refused:
                KEYRING.verify(token, allow_expired=allow_expired)
            assert refused.value.reason == "lifetime"
