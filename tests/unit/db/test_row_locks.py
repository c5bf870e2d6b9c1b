"""Each statement that changes rows has a way to lock them, so that none deadlock."""

import re

import pytest

from tests.support.statements import statements

CHANGES = re.compile(r"(?<!DO )(?<!KEY )(?<!FOR )\b(?:UPDATE|DELETE FROM)\s+([a-z]\w+)")

# The ways, and what a statement of each contains.
ONE_ROW = (
    r"WHERE \w*\.?(\w+_id|\w+_hash|version) = (\$1|of_user|of_ask|u\.user_id)\b"
    r"|WHERE user_id = \$\d AND \w+ = \$1\b"
)
SKIPS_LOCKED = r"FOR (NO KEY )?UPDATE (OF \w )?SKIP LOCKED"
USERS_IN_ORDER = r"ORDER BY user_id\s+FOR NO KEY UPDATE"
UNDER_ONE_LOCK = (
    r"lock_user\(|count_live_sessions\(|WHERE user_id = of_user FOR NO KEY UPDATE"
    r"|FROM here,|begin_revision\(|FROM projections WHERE user_id = of_user"
    r"|WHERE user_id = of_user AND cleared_at IS NULL FOR UPDATE|WHERE user_id = OLD\.user_id"
)
PROJECTIONS_IN_ORDER = r"ORDER BY p\.user_id\s+FOR UPDATE"
CHANNELS_IN_ORDER = r"ORDER BY c\.user_id, c\.channel_id FOR NO KEY UPDATE"
NOTIFIED_USERS_IN_ORDER = r"ORDER BY n\.user_id FOR NO KEY UPDATE"
THE_ONLY_ROW = (
    r"FROM readiness\s+FOR UPDATE|DELETE FROM housekeeping WHERE holder|UPDATE vapid_keys SET"
    r"|FROM mailed_codes FOR NO KEY UPDATE|UPDATE mailed_codes SET"
)
LOCKED_BY_ITS_CALLER = r"FROM joined j WHERE p\.user_id = j\.owner"  # a trigger's function

WAYS = {
    # functions of relay/db
    "touch_sessions": SKIPS_LOCKED,
    "touch_tokens": SKIPS_LOCKED,
    "delete_audit_rows": SKIPS_LOCKED,
    "spend_ticket": ONE_ROW,
    "revoke_token": ONE_ROW,
    "delete_presence": ONE_ROW,
    "release_lease": THE_ONLY_ROW,
    "mark_written": ONE_ROW,
    "write_presence": UNDER_ONE_LOCK,
    "expire_user": ONE_ROW,
    "renew_epochs": USERS_IN_ORDER,
    "delete_stored_tasks": ONE_ROW,
    "recount_tasks": ONE_ROW,
    "give_back": r"FOR UPDATE OF n SKIP LOCKED",
    "set_visible": ONE_ROW,
    "replace_sealed": ONE_ROW,
    "replace_vapid_keys": THE_ONLY_ROW,
    "uncount_mail_code": THE_ONLY_ROW,
    "SWEEPS": SKIPS_LOCKED,  # of relay/db/expired_rows.py, as the next
    "ENDED_CREDENTIALS": SKIPS_LOCKED,
    # functions of sql/
    "append_event": ONE_ROW,
    "append_events": USERS_IN_ORDER,
    "append_requests": USERS_IN_ORDER,
    "trim_stream": UNDER_ONE_LOCK,
    "spend_link": UNDER_ONE_LOCK,
    "end_session": UNDER_ONE_LOCK,
    "end_other_sessions": UNDER_ONE_LOCK,
    "begin_revision": ONE_ROW,
    "write_projections": PROJECTIONS_IN_ORDER,
    "set_tasks_hidden": UNDER_ONE_LOCK,
    "forget_tasks": UNDER_ONE_LOCK,
    "renew_leases": UNDER_ONE_LOCK,
    "request_stop": UNDER_ONE_LOCK,
    "end_ask": ONE_ROW,
    "expire_ask": ONE_ROW,
    "open_ask": UNDER_ONE_LOCK,
    "settle_asks": SKIPS_LOCKED,
    "keep_tasks_within": UNDER_ONE_LOCK,
    "keep_deliveries_within": r"WHERE user_id = of_user AND channel_id = of_channel",
    "make_notifications": NOTIFIED_USERS_IN_ORDER,
    "note_lost_tasks": r"ORDER BY p\.user_id FOR UPDATE SKIP LOCKED",
    "ready_notifications": SKIPS_LOCKED,
    "take_notifications": r"FOR UPDATE OF n SKIP LOCKED",
    "end_pause": ONE_ROW,  # of the channel, which its callers have locked
    "finish_notifications": CHANNELS_IN_ORDER,
    "add_channel": UNDER_ONE_LOCK,
    "add_test": r"FOR NO KEY UPDATE;\s+SELECT \* INTO reached FROM channels c",
    "drop_channels": r"ORDER BY channel_id FOR UPDATE",
    "take_mail_code": THE_ONLY_ROW,
    "note_task_changes": LOCKED_BY_ITS_CALLER,
    "note_ready": THE_ONLY_ROW,
    "delete_user": UNDER_ONE_LOCK,
    "note_deleted_user": UNDER_ONE_LOCK,
    "clear_user": UNDER_ONE_LOCK,
}


FOUND = {
    name: changing
    for name, texts in statements().items()
    if (changing := [text for text in texts if CHANGES.search(text)])
}


def test_every_statement_that_changes_rows_has_a_way() -> None:
    assert sorted(FOUND) == sorted(WAYS)


@pytest.mark.parametrize("name", sorted(FOUND))
def test_a_statement_goes_its_way(name: str) -> None:
    for statement in FOUND[name]:
        assert re.search(WAYS[name], statement), statement
