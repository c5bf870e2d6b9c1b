"""The ids of tasks that a request names, in its query or in its body, checked."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from relay.errors import BadRequest, FieldError, Invalid
from relay.identifiers import IDENTIFIER_FAULT, is_identifier
from relay.schema_types import Identifier

MAX_NAMED_TASKS = 100  # tasks that one request may name
NamedTasks = Annotated[list[Identifier], Meta(min_length=1, max_length=MAX_NAMED_TASKS)]


def checked_id(name: str, task_id: str | None) -> str | None:
    """The id, if it is one that a task can have. Raises BadRequest."""
    if task_id is not None and not is_identifier(task_id):
        raise BadRequest(f"`{name}` {IDENTIFIER_FAULT}.")
    return task_id


def check_ids(task_ids: list[str]) -> None:
    """Raise Invalid for an id in the field `task_ids` that no task can have."""
    check_fields({f"task_ids[{number}]": task_id for number, task_id in enumerate(task_ids)})


def check_fields(task_ids: Mapping[str, str]) -> None:
    """Raise Invalid for an id that no task can have; each has the name of its field."""
    wrong = [name for name, task_id in task_ids.items() if not is_identifier(task_id)]
    if wrong:
        raise Invalid(errors=[FieldError(name, IDENTIFIER_FAULT) for name in wrong])
