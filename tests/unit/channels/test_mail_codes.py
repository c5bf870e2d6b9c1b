"""Codes that prove an address: for one user, one address and a while, with every signing key."""

from uuid import uuid4

from relay.channels.mail_codes import PERIOD_SECONDS, PERIODS, VALID_MINUTES, MailCodes
from relay.config.parsers import SigningKey
from tests.support.settings import SECRET

ADDRESS = "ada@example.com"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_123.0

    def __call__(self) -> float:
        return self.now


def test_a_code_is_for_one_user_and_one_address() -> None:
    codes, user, other = MailCodes([SigningKey("k1", SECRET.encode())]), uuid4(), uuid4()
    code = codes.make(user, ADDRESS)
    assert (len(code), code[4], code.replace(" ", "").isdecimal()) == (9, " ", True)
    assert codes.check(user, ADDRESS, code)
    assert codes.check(user, "ada@EXAMPLE.com", code.replace(" ", "-"))
    assert not codes.check(other, ADDRESS, code)
    assert not codes.check(user, "bob@example.com", code)
    assert not codes.check(user, "Ada@example.com", code)
    assert not codes.check(user, ADDRESS, "")
    assert not codes.check(user, ADDRESS, "é")


def test_a_code_expires() -> None:
    clock, user = Clock(), uuid4()
    codes = MailCodes([SigningKey("k1", SECRET.encode())], clock)
    code, made_at = codes.make(user, ADDRESS), clock.now
    clock.now = made_at + VALID_MINUTES * 60
    assert codes.check(user, ADDRESS, code)
    clock.now = made_at + PERIOD_SECONDS * PERIODS
    assert not codes.check(user, ADDRESS, code)
    clock.now = made_at - PERIOD_SECONDS
    assert not codes.check(user, ADDRESS, code)


def test_codes_outlive_the_rotation_of_the_key_that_made_them() -> None:
    old, new, user = SigningKey("k1", SECRET.encode()), SigningKey("k2", b"n" * 32), uuid4()
    clock = Clock()
    code = MailCodes([old], clock).make(user, ADDRESS)
    assert MailCodes([new, old], clock).check(user, ADDRESS, code)
    assert not MailCodes([new], clock).check(user, ADDRESS, code)
    assert MailCodes([new, old], clock).make(user, ADDRESS) == MailCodes([new], clock).make(
        user, ADDRESS
    )
