"""Notifications as kinds get them, with texts that would be markup, mentions or headers."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from relay.channels.kinds.base import KindContext
from relay.channels.mail import Mailer
from relay.channels.notification import Notification, task_url
from relay.channels.sealing import Vault
from relay.config.parsers import SigningKey
from relay.config.settings import Settings
from tests.support.receivers import calling
from tests.support.settings import SECRET

BASE_URL = "https://relay.example.com"
HOSTILE = (
    "<!channel> <@U123> <https://evil.example|click> @everyone @here <@&9> *b* _i_ ~s~ `c` "
    "```x``` > q # h [l](https://evil.example) || & &amp; \x1b]0;t\x07\u202e"
)


def notification(kind: str = "task.failed", **changes: Any) -> Notification:
    """A task that failed, unless changed."""
    given: dict[str, Any] = {
        "id": "msg_5f0c8a8e1d374c52b7a42f6f1be0a913",
        "type": kind,
        "timestamp": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "url": task_url(BASE_URL, "build 7"),
        "task_id": "build 7",
        "run": 1,
        "state": kind.partition(".")[2],
        "title": "make test",
        "message": "12 of 30 failed",
        "exit_code": 2,
        "duration_s": 190.0,
    }
    return Notification(**given | changes)


def ask(**changes: Any) -> Notification:
    """A question of a task."""
    asked: dict[str, Any] = {
        "message": None,
        "exit_code": None,
        "duration_s": None,
        "ask_id": str(uuid4()),
        "question": "Deploy build 17?",
        "options": ("yes", "no"),
        "question_hash": "0f",
    }
    return notification("task.waiting", **asked | changes)


def context(mailer: Mailer | None = None, *, private: bool = True) -> KindContext:
    """What kinds use, without a database; receivers may be on loopback."""
    return KindContext(
        settings=Settings(),
        base_url=BASE_URL,
        database=None,  # type: ignore[arg-type] # no kind of these uses it
        outbound=calling(private=private),
        vault=Vault([SigningKey("k1", SECRET.encode())]),
        vapid=None,  # type: ignore[arg-type] # the same
        mailer=mailer,
    )
