"""What the calls have in common that name tasks in their body, or read their state."""

from typing import Annotated

from msgspec import Meta

from relay.errors import FieldError, Invalid
from relay.ingest.values import IDENTIFIER_FAULT, is_identifier
from relay.schema_types import Identifier
from relay.web.request import HTTPRequest

MAX_NAMED_TASKS = 100  # tasks that one request may name
NamedTasks = Annotated[list[Identifier], Meta(min_length=1, max_length=MAX_NAMED_TASKS)]


def check_ids(task_ids: list[str]) -> None:
    """Raise Invalid for an id that no task can have."""
    wrong = [number for number, task_id in enumerate(task_ids) if not is_identifier(task_id)]
    if wrong:
        raise Invalid(
            errors=[FieldError(f"task_ids[{number}]", IDENTIFIER_FAULT) for number in wrong]
        )


async def catch_up(request: HTTPRequest) -> None:
    """Wait until the stored tasks have all events that are acknowledged, for a bounded time."""
    services, user_id = request.services, request.credential.user_id
    head = await services.heads.head(user_id)
    await services.projector.catch_up_within_patience(user_id, head.last)
