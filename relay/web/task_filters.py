"""What the calls have in common that read pages of tasks: filters and pages."""

from typing import Annotated

from msgspec import Meta

from relay.db.shown_tasks import StoredTaskFilter
from relay.errors import BadRequest
from relay.realtime.resume import parse_count
from relay.schema_types import CursorText, Examples, Identifier
from relay.tasks.reported import MAX_TEXT
from relay.tasks.view import SHOWN_STATES
from relay.web.named_tasks import MAX_NAMED_TASKS, checked_id
from relay.web.openapi.describe import Parameter
from relay.web.query import QueryParameters

DEFAULT_LIMIT = 100

_STATE = f"({'|'.join(SHOWN_STATES)})"
StateList = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_STATE}(,{_STATE})*$"})]
TitleText = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
PageMark = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,18}$"})]

STATE = Parameter("state", StateList, "States, separated by commas.", "running,lost")
PARENT = Parameter("parent_id", Identifier, "Tasks with this parent.", "nightly")
TASK_ID = Parameter(
    "task_id",
    Annotated[list[Identifier], Meta(min_length=1, max_length=MAX_NAMED_TASKS)],
    f"This task; may be given up to {MAX_NAMED_TASKS} times. Hidden ones count, too.",
    ["build-7"],
)
TITLE = Parameter("title", TitleText, "Tasks with exactly this title.", "make test")
TITLE_PART = Parameter("q", TitleText, "A part of the title, in upper or lower case.", "test")
HIDDEN = Parameter("hidden", bool, "Hidden tasks instead of those that are not.", False)
AFTER = Parameter("after", PageMark, "The `next` of the page before.", "42")
AFTER_CURSOR = Parameter(
    "after_cursor",
    CursorText,
    "Wait, for up to 2 seconds, until the tasks hold up to this position.",
    Examples.CURSOR,
)


def read_filter(args: QueryParameters) -> StoredTaskFilter:
    """Read the filters of a query. Raises BadRequest."""
    states, hidden, after = args.get("state"), args.get("hidden"), args.get("after")
    task_ids = args.get_all("task_id", MAX_NAMED_TASKS)
    if hidden not in (None, "true", "false"):
        raise BadRequest("`hidden` must be `true` or `false`.")
    if after is not None and not (after.isdecimal() and after.isascii() and len(after) <= 18):
        raise BadRequest("`after` must be the `next` of a page of tasks.")
    return StoredTaskFilter(
        states=None if states is None else _read_states(states),
        parent_id=checked_id("parent_id", args.get("parent_id")),
        task_ids=[checked_id("task_id", task_id) or "" for task_id in task_ids] or None,
        part=_read_title(args, "q"),
        title=_read_title(args, "title"),
        hidden=(None if task_ids else False) if hidden is None else hidden == "true",
        before=None if after is None else int(after),
    )


def read_limit(args: QueryParameters, most: int) -> int:
    """How many tasks, or groups, the page may have. Raises BadRequest."""
    limit = args.get("limit")
    return DEFAULT_LIMIT if limit is None else parse_count("limit", limit, most)


def _read_title(args: QueryParameters, name: str) -> str | None:
    text = args.get(name)
    if text is not None and len(text) > MAX_TEXT:
        raise BadRequest(f"`{name}` must be at most {MAX_TEXT} characters.")
    # the database refuses to compare with U+0000, and no title has it
    return None if text is None else text.replace("\0", "\ufffd")


def _read_states(text: str) -> list[str]:
    states = text.split(",")
    if unknown := [state for state in states if state not in SHOWN_STATES]:
        raise BadRequest(
            f"`state` must be of {', '.join(SHOWN_STATES)}, separated by commas;"
            f" {len(unknown)} of the given ones are not."
        )
    return states
