"""Each statement names its user, or is one of those for all users.

So users can be spread over several databases: a statement that finds a row by its id alone would
have to be sent to each of them.
"""

import re

import pytest

from tests.support.statements import TABLES_OF_USERS, statements

FOR_ALL_USERS = {
    "select_revoked": "each process remembers what was revoked, of any user",
    "select_others": "the counts of streams of other processes",
    "select_users_to_clear": "housekeeping",
    "select_overfull": "housekeeping",
    "select_idle_users": "housekeeping",
    "SWEEPS": "housekeeping",
    "ENDED_CREDENTIALS": "housekeeping",
    "settle_asks": "housekeeping",
    "select_waiting": "housekeeping",
    "select_sealed_otherwise": "housekeeping",
    "note_lost_tasks": "housekeeping",
    "take_notifications": "senders share what is due, of any user",
    "ready_notifications": "the same",
    "hosts_in_turn": "the same",
    "users_in_turn": "the same",
    "closed_receivers": "they share the hosts that they call, too",
    "select_behind": "housekeeping",
    "renew_epochs": "a command of the operator",
    "select_users": "a command of the operator",
    "find_ticket_owner": "a ticket of the version before names no user",
    "find_link_owner": "a link of the version before names no user",
    "expire_ask": "the one without a user is for processes of the version before",
}
"""The functions of relay/db and of sql/ whose statements name no user, and why."""

TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:public\.)?(\w+)\b(?!\()")
NAMES_THE_USER = re.compile(
    r"\buser_id = (ANY \()?(\$\d|of_user|user_ids|owners|OLD\.user_id)"
    r"|\(user_id, \w+\) (IN|=) \("
    r"|INSERT INTO \w+\s*\([^)]*\buser_id\b"
    r"|unnest\(\s*\$1::uuid\[\]|user_id = [cj]\.owner"
)
FOUND = {
    name: [text for text in texts if TABLES_OF_USERS & set(TABLE.findall(text))]
    for name, texts in statements().items()
}


@pytest.mark.parametrize("name", sorted(name for name, texts in FOUND.items() if texts))
def test_a_statement_names_its_user(name: str) -> None:
    if name not in FOR_ALL_USERS:
        for text in FOUND[name]:
            assert NAMES_THE_USER.search(text), text


def test_the_list_of_exceptions_has_no_more_than_there_are() -> None:
    unnamed = {
        name
        for name, texts in FOUND.items()
        if any(not NAMES_THE_USER.search(text) for text in texts)
    }
    assert FOR_ALL_USERS.keys() == unnamed
