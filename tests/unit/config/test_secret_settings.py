"""Settings that are secrets: hidden everywhere, and kept to the byte."""

import pytest

from relay.config.parsers import SigningKey
from relay.config.settings import SettingError, Settings
from tests.support.settings import POSTGRES, SECRET


def test_secrets_are_hidden_in_settings_and_errors() -> None:
    token = "a-metrics-token-to-hide"
    settings = Settings.load(
        {
            "RELAY_SIGNING_KEYS": f"k1:{SECRET}",
            "RELAY_METRICS_TOKEN": token,
            "DATABASE_URL": POSTGRES,
        }
    )
    for shown in (repr(settings), str(settings), repr(settings.signing_keys)):
        for secret in (SECRET, token, "hidden-password"):
            assert secret not in shown
    for name, text in (
        ("RELAY_SIGNING_KEYS", f"k1:{SECRET[:-1]}"),
        ("RELAY_SIGNING_KEYS", f"spaced kid:{SECRET}"),
        ("DATABASE_URL", POSTGRES.replace("postgresql", "mysql")),
        ("RELAY_METRICS_TOKEN", f"{token} {token}"),
    ):
        with pytest.raises(SettingError) as refusal:
            Settings.load({name: text})
        for secret in (SECRET[:-1], token, "hidden-password"):
            assert secret not in str(refusal.value)


def test_signing_keys_keep_their_order_and_their_secrets_to_the_byte() -> None:
    text = f" k2:{SECRET}:with=colons/and+more , k1:{'ü' * 16} "
    assert Settings.load({"RELAY_SIGNING_KEYS": text}).signing_keys == (
        SigningKey("k2", f"{SECRET}:with=colons/and+more".encode()),
        SigningKey("k1", ("ü" * 16).encode()),  # bytes count, not characters
    )


def test_an_external_database_requires_explicit_keys() -> None:
    with pytest.raises(SettingError, match=r"^RELAY_SIGNING_KEYS is missing"):
        Settings.load({"DATABASE_URL": POSTGRES})
    keys = {"RELAY_SIGNING_KEYS": f"k1:{SECRET}"}
    assert Settings.load({"DATABASE_URL": POSTGRES, **keys}).database_url == POSTGRES
