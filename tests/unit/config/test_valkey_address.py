"""The address of a Valkey: hosts, TLS, user, password, prefix; refusals show no secret."""

from pathlib import Path

import pytest

from relay.config.settings import SettingError, Settings
from relay.config.valkey_address import Node, ValkeyAddress, valkey_address
from tests.support.certificates import self_signed
from tests.support.settings import POSTGRES, SECRET


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("valkey://one", ValkeyAddress((Node("one", 6379),))),
        ("redis://one:7000/", ValkeyAddress((Node("one", 7000),))),
        ("redis://one/0", ValkeyAddress((Node("one", 6379),))),
        (
            " valkeys://one,two:7000 ",
            ValkeyAddress((Node("one", 6379), Node("two", 7000)), tls=True),
        ),
        ("rediss://[::1]:7000", ValkeyAddress((Node("::1", 7000),), tls=True)),
        ("valkey://:secret@one", ValkeyAddress((Node("one", 6379),), password="secret")),
        (
            "valkey://re%40lay:a%3Ab%2F%40@one,two?prefix=staging",
            ValkeyAddress(
                (Node("one", 6379), Node("two", 6379)),
                user="re@lay", password="a:b/@", prefix="staging",
            ),
        ),
    ],
)  # fmt: skip
def test_addresses_are_read(text: str, address: ValkeyAddress) -> None:
    assert valkey_address(text) == address
    assert repr(address).count("secret") == 0


def test_files_of_certificates_are_read(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("ca", "cert", "key")]
    made = self_signed(tmp_path)
    for file, source in zip(files, ("certfile", "certfile", "keyfile"), strict=True):
        file.write_bytes(Path(made[source]).read_bytes())
    ca, cert, key = files
    text = f"valkeys://one?ca_file={ca}&cert_file={cert}&key_file={key}"
    address = valkey_address(text)
    assert (address.ca_file, address.cert_file, address.key_file) == (ca, cert, key)
    for refused in (
        text.replace("valkeys", "valkey"),
        text.replace(f"&key_file={key}", ""),
        text.replace("/ca&", "/other&"),
        text.replace(str(ca), "~nobody-of-this-name/ca"),
    ):
        with pytest.raises(ValueError, match="_file"):
            valkey_address(refused)
    with pytest.raises(ValueError, match="cannot be used"):
        valkey_address(text.replace("/ca&", "/key&"))


@pytest.mark.parametrize(
    "text",
    [
        "one:6379",
        "http://one",
        "valkey://",
        "valkey://one:0",
        "valkey://one:65536",
        "valkey://one,,two",
        "valkey://one/1",
        "valkey://hidden-word@one",
        "valkey://relay:hidden-word@@one",
        "valkey://relay:hidden/word@one",
        "valkey://one?password=hidden-word",
        "valkey://one?prefix=",
        "valkey://one?prefix=a:b",
    ],
)
def test_other_addresses_are_refused_without_their_secret(text: str) -> None:
    with pytest.raises(SettingError, match="RELAY_BACKPLANE_URL") as refusal:
        Settings.load({"RELAY_BACKPLANE_URL": text})
    assert "hidden" not in str(refusal.value)


def test_a_valkey_needs_a_database_that_several_processes_share() -> None:
    given = {"RELAY_BACKPLANE_URL": "valkey://u:hidden-word@one"}
    with pytest.raises(SettingError, match="DATABASE_URL is missing"):
        Settings.load(given)
    settings = Settings.load(
        {**given, "DATABASE_URL": POSTGRES, "RELAY_SIGNING_KEYS": f"k1:{SECRET}"}
    )
    assert "hidden" not in repr(settings)
