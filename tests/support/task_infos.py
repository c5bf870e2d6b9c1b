"""Tasks as a client has them, for tests of what it shows."""

from datetime import UTC, datetime, timedelta
from typing import Any

from relay.client.task_info import TaskInfo

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)


def task_info(now: datetime = NOW, **given: Any) -> TaskInfo:
    """A task that has run for 190 seconds, with these fields."""
    known: dict[str, Any] = {
        **{"task_id": "make-test-7f3a", "run": 2, "state": "running", "title": "make test"},
        **{"progress": 0.4, "message": "12 of 30", "metrics": {}, "parent_id": None, "url": None},
        **{"exit_code": None, "started_at": now - timedelta(seconds=190), "last_at": now},
        **{"ended_at": None, "duration_s": None, "first_seq": 1, "last_seq": 2, "events": 2},
    }
    return TaskInfo(**{**known, **given})
