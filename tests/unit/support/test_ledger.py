"""The checker itself: it finds every kind of fault."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.accounts import Account, Reader, reckon


def sound() -> tuple[Account, list[dict[str, Any]]]:
    """A user with five events, everything as it should be."""
    stored: list[dict[str, Any]] = [
        {"id": f"u:p:{n}", "seq": n + 1, "payload": n} for n in range(5)
    ]
    account = Account("u", "id", "session", "hook")
    account.sent = {event["id"]: event["payload"] for event in stored}
    account.acknowledged = {event["id"]: event["seq"] for event in stored}
    account.spans = [(["u:p:1", "u:p:2"], {"first_seq": 2, "last_seq": 3})]
    account.readers = [Reader("sse", hops=False, seen=[(e["seq"], e["id"]) for e in stored])]
    return account, stored


def test_a_correct_history_has_no_findings() -> None:
    assert reckon(*sound()) == []


def exchange_two(account: Account, stored: list[dict[str, Any]]) -> None:
    for known in (account.acknowledged, account.spans, account.readers):
        known.clear()
    stored[0].update(id="u:p:1", payload=1)
    stored[1].update(id="u:p:0", payload=0)


WRONGS: dict[str, Callable[[Account, list[dict[str, Any]]], object]] = {
    "an acknowledged one is missing": lambda _account, stored: stored.pop(),
    "a hole": lambda _account, stored: stored[4].update(seq=6),
    "one twice": lambda _account, stored: stored.append({**stored[0], "seq": 6}),
    "another payload": lambda _account, stored: stored[2].update(payload="other"),
    "somebody else's": lambda account, _stored: account.sent.pop("u:p:3"),
    "another seq than was told": lambda account, _stored: account.acknowledged.update({"u:p:0": 9}),
    "a batch elsewhere": lambda account, _stored: account.spans[0][1].update(first_seq=1),
    "a reader that missed one": lambda account, _stored: account.readers[0].seen.pop(1),
    "a reader that saw two twice": lambda account, _stored: account.readers[0].seen.insert(
        1, (1, "u:p:0")
    ),
    "a producer's order": exchange_two,
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_every_wrong_history_is_found(wrong: str) -> None:
    account, stored = sound()
    WRONGS[wrong](account, stored)
    assert reckon(account, stored)
