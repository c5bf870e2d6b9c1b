"""Secrets of channels: sealed with one signing key, opened with any, for one row."""

import pytest

from relay.channels.sealing import CannotOpen, Sealed, Vault
from relay.config.parsers import SigningKey

OLD, NEW = SigningKey("old", b"o" * 32), SigningKey("new", b"n" * 32)
SECRET, LABEL = b'{"url":"https://example.com/"}', b"channel 1"


def test_a_secret_opens_with_its_key_wherever_that_stands() -> None:
    sealed = Vault([OLD]).seal(SECRET, LABEL)
    assert sealed.kid == "old"
    assert SECRET not in sealed.data
    for keys in ([OLD], [NEW, OLD], [OLD, NEW]):
        assert Vault(keys).open(sealed, LABEL) == SECRET
    assert Vault([NEW, OLD]).seal(SECRET, LABEL).kid == "new"


def test_the_same_secret_is_sealed_otherwise_each_time() -> None:
    vault = Vault([OLD])
    assert vault.seal(SECRET, LABEL).data != vault.seal(SECRET, LABEL).data


@pytest.mark.parametrize(
    ("vault", "change", "label", "fault"),
    [
        (Vault([NEW]), 0, LABEL, "old, which is not here"),
        (Vault([SigningKey("old", b"x" * 32)]), 0, LABEL, "does not open"),
        (Vault([OLD]), 1, LABEL, "does not open"),
        (Vault([OLD]), 0, b"channel 2", "does not open"),
    ],
)
def test_what_another_key_or_row_has_sealed_stays_shut(
    vault: Vault, change: int, label: bytes, fault: str
) -> None:
    sealed = Vault([OLD]).seal(SECRET, LABEL)
    changed = Sealed(sealed.kid, sealed.data[:-1] + bytes([sealed.data[-1] ^ change]))
    with pytest.raises(CannotOpen, match=fault):
        vault.open(changed, label)


def test_a_text_that_is_too_short_stays_shut() -> None:
    with pytest.raises(CannotOpen):
        Vault([OLD]).open(Sealed("old", b""), LABEL)
