"""A notification: what a channel sends of a task, or of an ask."""

from datetime import datetime
from typing import Literal, get_args
from urllib.parse import quote
from uuid import UUID

import msgspec

NotificationType = Literal[
    "task.failed",
    "task.lost",
    "task.waiting",
    "task.succeeded",
    "task.canceled",
    "channel.test",
]

Event = Literal["failed", "lost", "waiting", "succeeded", "canceled"]
"""What the rules of a channel name: a state that a task has come to."""
EVENTS: tuple[Event, ...] = get_args(Event)

TEST = "test"
"""What the outbox has instead of a state, for a test of a channel."""

TYPES: dict[str, NotificationType] = {
    "failed": "task.failed",
    "lost": "task.lost",
    "waiting": "task.waiting",
    "succeeded": "task.succeeded",
    "canceled": "task.canceled",
    TEST: "channel.test",
}
"""The type of a notification, by the state that the outbox has."""


class Notification(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One notification, the same for every attempt to send it.

    `id` is stable: a receiver that gets it again knows it. `url` leads to the task on Relay's page.
    `message` is None where the channel leaves it out. The fields of an ask are None, and `options`
    empty, if it is about none. `question_hash` is what an answer to it has to send along;
    `has_details`: the ask has more than is sent.
    """

    id: str
    type: NotificationType
    timestamp: datetime
    url: str
    task_id: str | None = None
    run: int | None = None
    state: str | None = None
    title: str | None = None
    message: str | None = None
    exit_code: int | None = None
    duration_s: float | None = None
    ask_id: str | None = None
    question: str | None = None
    options: tuple[str, ...] = ()
    question_hash: str | None = None
    has_details: bool = False

    @property
    def name(self) -> str:
        """What a person calls it: the task's title or else its id."""
        return self.title or self.task_id or "Relay"

    @property
    def headline(self) -> str:
        """One line that says what happened, for a channel's title or subject."""
        return _HEADLINES[self.type].format(name=self.name)


_HEADLINES: dict[str, str] = {
    "task.failed": "{name} failed",
    "task.lost": "Lost contact with {name}",
    "task.waiting": "{name} waits for you",
    "task.succeeded": "{name} succeeded",
    "task.canceled": "{name} was canceled",
    "channel.test": "This is a test of Relay's notifications",
}


def notification_id(identifier: UUID) -> str:
    """The id by which receivers know a notification."""
    return f"msg_{identifier.hex}"


def task_url(base_url: str, task_id: str | None) -> str:
    """The address of a task on Relay's page; of the page if there is no task."""
    return f"{base_url}/" if task_id is None else f"{base_url}/#task={quote(task_id, safe='')}"
