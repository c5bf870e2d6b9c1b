"""Which task an event of a stream belongs to, by the rule of the server."""

from relay.client.stream_messages import StreamEvent
from relay.tasks.fold import task_of_payload

TASK_EVENTS = ("task_started", "task_progress", "task_succeeded", "task_failed")
ENDS = ("task_succeeded", "task_failed")


def task_id_of(event: StreamEvent) -> str | None:
    """The id of the event's task; None if it belongs to none."""
    if event.task_id is not None or event.event_type not in TASK_EVENTS:
        return event.task_id
    return task_of_payload(bytes(event.payload).decode())
