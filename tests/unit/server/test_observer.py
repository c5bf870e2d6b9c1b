"""What the server logs, not how it is written."""

import logging

import pytest

from relay.observability.exceptions import describe_failure
from relay.server.observer import Observer


def failure() -> BaseException:
    try:
        raise ValueError("Bearer secret\r\nforged line")
    except ValueError as error:
        return ExceptionGroup("several", [error, ExceptionGroup("more", [KeyError("secret")])])


def test_a_failure_is_described_by_types_and_places_alone() -> None:
    line = describe_failure(failure())
    assert line.startswith("ValueError at failure (")
    assert "KeyError at ?" in line
    assert "secret" not in line
    assert "\n" not in line


def test_failures_are_logged_and_normal_operation_is_not(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observer()
    with caplog.at_level(logging.INFO, logger="relay.server"):
        observer.connection_opened()
        observer.connection_refused()
        observer.request_refused(400, "bad_request", "id")
        observer.connection_closed()
        assert caplog.records == []
        observer.connection_stalled()
        observer.connection_failed(failure())
        observer.application_failed(failure())
        observer.request_refused(500, "internal_error", "the-id")
    assert [record.levelno for record in caplog.records] == [logging.INFO, *[logging.ERROR] * 3]
    assert "the-id" in caplog.text
