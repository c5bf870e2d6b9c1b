"""The secret of a ticket or a link names its user, and what names none is no error."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth.one_time_secrets import LINK_BYTES, TICKET_BYTES, new_secret, secret_owner

LENGTHS = {TICKET_BYTES: 64, LINK_BYTES: 43}  # of a secret, in characters


@pytest.mark.parametrize("size", [TICKET_BYTES, LINK_BYTES])
def test_a_secret_names_its_user_and_is_never_the_same(size: int) -> None:
    user_id = uuid4()
    secrets = {new_secret(user_id, size) for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert secret_owner(secret, size) == user_id
        assert secret.isascii()
        assert len(secret) == LENGTHS[size]


@given(user_id=st.uuids(), at=st.integers(0, 63), to=st.characters())
def test_a_change_behind_the_users_id_names_no_other_user(user_id: UUID, at: int, to: str) -> None:
    secret = new_secret(user_id, TICKET_BYTES)
    changed = secret[:at] + to + secret[at + 1 :]
    owner = secret_owner(changed, TICKET_BYTES)
    if at >= 22:  # behind the user's id, which ends within the 22nd character
        assert owner in (user_id, None)


@given(text=st.text(max_size=80), size=st.sampled_from([TICKET_BYTES, LINK_BYTES]))
def test_any_text_has_an_owner_or_none(text: str, size: int) -> None:
    if secret_owner(text, size) is not None:
        assert len(text) == LENGTHS[size]


def test_secrets_of_the_version_before_name_no_user() -> None:
    assert secret_owner("A" * 43, TICKET_BYTES) is None
    assert secret_owner("A" * 22, LINK_BYTES) is None
