"""What a notification says to a person, as plain text: for kinds whose receiver shows text.

Titles and messages are of users. Here they lose control characters and are cut; that they are no
markup, mention or header at the receiver is the work of each kind.
"""

from typing import NamedTuple

from msgspec.structs import replace

from relay.channels.notification import Notification
from relay.client.duration_text import duration_text
from relay.client.plain_text import clean

MAX_NAME = 120  # characters; a line of a phone's lock screen has about 40
MAX_BODY = 600  # characters: a message has 300 at most, a question 2 000
MAX_OPTIONS = 300  # characters of all options together
UNTITLED = "A program"  # without a title and a task, as of an ask of no task
_TEST = "This channel works. Notifications of your tasks and questions will come like this one."


class Words(NamedTuple):
    """`headline` is one line. `facts`, `body` and `options` may be empty; `action` is a link's."""

    headline: str
    facts: str
    body: str
    options: str
    action: str

    @property
    def rest(self) -> str:
        """Everything but the headline, with an empty line between the parts."""
        return "\n\n".join(filter(None, (self.facts, self.body, self.options)))


def words(notification: Notification) -> Words:
    """The words of a notification."""
    name = notification.title or notification.task_id
    named = replace(notification, title=shortened(clean(name) if name else UNTITLED, MAX_NAME))
    if notification.type == "channel.test":
        return Words(clean(named.headline), "", _TEST, "", "Open Relay")
    asks = notification.question is not None
    body = notification.question if asks else notification.message
    options = " · ".join(map(clean, notification.options))
    return Words(
        headline=clean(named.headline),
        facts=_facts(notification),
        body=shortened(clean_lines(body or ""), MAX_BODY),
        options=shortened(f"Answers: {options}", MAX_OPTIONS) if options else "",
        action="Answer" if asks else "Open the task",
    )


def shortened(text: str, most: int) -> str:
    """The text, cut to so many characters with an ellipsis as the last."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def clean_lines(text: str) -> str:
    """The text without control characters, line by line; at most one empty line between two."""
    lines = [clean(line).rstrip() for line in text.splitlines()]
    kept = [line for line, before in zip(lines, ["", *lines], strict=False) if line or before]
    return "\n".join(kept).strip()


def _facts(notification: Notification) -> str:
    """How long the run took, and its exit code."""
    parts = []
    if notification.duration_s is not None:
        parts.append(f"after {duration_text(max(0.0, notification.duration_s))}")
    if notification.exit_code is not None:
        parts.append(f"exit code {notification.exit_code}")
    return ", ".join(parts)
