"""The list of task ids in the body of a request, and its check."""

from typing import Annotated

from msgspec import Meta

from relay.errors import FieldError, Invalid
from relay.identifiers import IDENTIFIER_FAULT, is_identifier
from relay.schema_types import Identifier

MAX_NAMED_TASKS = 100  # tasks that one request may name
NamedTasks = Annotated[list[Identifier], Meta(min_length=1, max_length=MAX_NAMED_TASKS)]


def check_ids(task_ids: list[str]) -> None:
    """Raise Invalid for an id that no task can have."""
    wrong = [number for number, task_id in enumerate(task_ids) if not is_identifier(task_id)]
    if wrong:
        raise Invalid(
            errors=[FieldError(f"task_ids[{number}]", IDENTIFIER_FAULT) for number in wrong]
        )
