"""How failures of background work stand in the log."""

import pytest
from structlog.testing import capture_logs

from relay.db.pool import StatementFailed
from relay.db.work_failures import WorkFailures
from relay.errors import DatabaseAway

OUTAGE = DatabaseAway()


def refusal(kind: type[Exception] = KeyError) -> StatementFailed:
    error = StatementFailed("refused")
    error.__cause__ = kind()
    return error


@pytest.mark.parametrize(
    ("attempts", "logged"),
    [
        ([[OUTAGE], [OUTAGE]], ["waits debug", "waits debug"]),
        ([[refusal()], [refusal()]], ["refused error", "refused debug"]),
        ([[refusal(), refusal()]], ["refused error", "refused debug"]),
        ([[refusal()], [refusal(OSError)]], ["refused error", "refused error"]),
        ([[refusal()], [OUTAGE], [refusal()]], ["refused error", "waits debug", "refused debug"]),
        ([[refusal()], [], [refusal()]], ["refused error", "refused error"]),
    ],
    ids=["outage", "refusal", "in one attempt", "another reason", "outage between", "mended"],
)
def test_a_refusal_is_an_error_until_an_attempt_succeeds(
    attempts: list[list[Exception]], logged: list[str]
) -> None:
    failures = WorkFailures("relay.test", waits="waits", refused="refused")
    with capture_logs() as lines:
        for errors in attempts:
            failures.begin_attempt()
            for error in errors:
                failures.note(error)
    assert [f"{line['event']} {line['log_level']}" for line in lines] == logged


def test_a_failure_at_the_database_ends_an_attempt_and_is_logged() -> None:
    failures = WorkFailures("relay.test", waits="waits", refused="refused")
    done = []
    with capture_logs() as lines:
        for error in (OUTAGE, refusal(), refusal(), None, refusal()):
            with failures.attempt():
                done.append("begun")
                if error is not None:
                    raise error
                done.append("ended")
    assert done == ["begun"] * 4 + ["ended", "begun"]
    assert [f"{line['event']} {line['log_level']}" for line in lines] == [
        "waits debug",
        "refused error",
        "refused debug",
        "refused error",
    ]


def test_another_failure_leaves_an_attempt() -> None:
    failures = WorkFailures("relay.test", waits="waits", refused="refused")
    with capture_logs() as lines, pytest.raises(KeyError), failures.attempt():
        raise KeyError
    assert lines == []
