"""Sealed messages are opened by processes with one of the keys, unchanged or not at all."""

from base64 import b64decode
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from relay.config.parsers import signing_keys
from relay.realtime.sealing import ID_CHARACTERS, MAX_SENDERS, NONCE_BYTES, Sealer

TAG_BYTES = 16  # of AES-GCM
OLD, NEW = "k1:" + "a" * 32, "k2:" + "b" * 32


def sealer(*keys: str) -> Sealer:
    return Sealer(signing_keys(",".join(keys)), uuid4())


def sealed_size(size: int) -> int:
    """The characters of a sealed message of so many bytes: the id, and the rest in base64."""
    return ID_CHARACTERS + (NONCE_BYTES + size + TAG_BYTES + 2) // 3 * 4


@given(messages=st.lists(st.binary(max_size=6_000), min_size=1, max_size=3))
def test_what_is_sealed_is_opened_elsewhere(messages: list[bytes]) -> None:
    here, there = sealer(OLD), sealer(OLD)
    sealed = [here.seal(message) for message in messages]
    assert [there.open(text) for text in sealed] == messages
    assert len(set(sealed)) == len(messages)  # also of the same message
    assert [len(text) for text in sealed] == [sealed_size(len(message)) for message in messages]


@given(at=st.integers(0, 10**6), to=st.characters(codec="ascii"), message=st.binary(max_size=99))
def test_a_changed_message_is_not_opened(at: int, to: str, message: bytes) -> None:
    here = sealer(OLD)
    sealed = here.seal(message)
    at %= len(sealed)
    changed = sealed[:at] + to + sealed[at + 1 :]
    assert here.open(changed) == (message if changed == sealed else None)


def test_another_spelling_of_a_message_is_not_opened() -> None:
    here = Sealer(signing_keys(OLD), UUID("aaaaaaaa-0000-8000-8000-000000000000"))
    sealed = here.seal(b"xy")  # 30 bytes: 40 characters of base64 without a spare bit
    assert here.open(sealed) == b"xy"
    assert here.open(sealed.replace("aaaaaaaa", "AAAAAAAA", 1)) is None
    sealed = here.seal(b"x")
    assert sealed.endswith("=")
    spare = chr(ord(sealed[-2]) + 1)  # decoded, the last two bits of this letter are nothing
    assert b64decode(sealed[36:-2] + spare + "=") == b64decode(sealed[36:])
    assert here.open(sealed[:-2] + spare + "=") is None


@given(message=st.binary(max_size=6_000), at=st.integers(0, 10**6), to=st.integers(0, 255))
def test_bytes_are_sealed_as_texts_are(message: bytes, at: int, to: int) -> None:
    here, there = sealer(OLD), sealer(OLD)
    sealed = here.seal_bytes(message)
    assert there.open_bytes(sealed) == message
    assert (here.is_own(sealed), there.is_own(sealed)) == (True, False)
    at %= len(sealed)
    changed = sealed[:at] + bytes([to]) + sealed[at + 1 :]
    assert changed == sealed or there.open_bytes(changed) is None
    assert [there.open_bytes(odd) for odd in (b"", b"x", sealed[:16], sealed[:30])] == [None] * 4


def test_during_a_rotation_both_keys_open() -> None:
    before, during, after = sealer(OLD), sealer(NEW, OLD), sealer(NEW)
    assert during.open(before.seal(b"x")) == b"x"
    assert during.open(during.seal(b"x")) == b"x"
    assert after.open(during.seal(b"x")) == b"x"
    assert after.open(before.seal(b"x")) is None
    assert before.open(during.seal(b"x")) is None


def test_no_text_of_another_form_is_opened() -> None:
    here = sealer(OLD)
    for odd in ("", "x", "ä" * 50, str(uuid4()), f"{uuid4()}AAAA", f"{uuid4()}A", f"{uuid4()}ä"):
        assert here.open(odd) is None


def test_keys_of_many_senders_are_not_kept() -> None:
    here = sealer(OLD)
    for _ in range(2 * MAX_SENDERS + 1):
        assert here.open(sealer(OLD).seal(b"x")) == b"x"
    assert len(here._ciphers) <= MAX_SENDERS
