"""Draws a table of tasks that fits a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from relay.cli.task_cells import COLUMNS, MESSAGE, STYLES, TITLE, Column, task_cells
from relay.client.task_info import TaskInfo

GAP = 2  # columns between two cells
MIN_TITLE = 12  # columns of a title before the message gets some


def task_rows(tasks: Iterable[TaskInfo], width: int, now: datetime) -> Iterator[Text]:
    """The lines of a table that is at most `width` columns wide, its head first."""
    shown = [column for column in COLUMNS if width >= column.shown_from]
    rows = [(task, _with_sign(task_cells(task, now), width)) for task in tasks]
    widths = _fit(_natural(shown, [cells for _task, cells in rows]), width)
    yield _line(shown, {column.name: column.name for column in shown}, widths, "dim")
    for task, cells in rows:
        yield _line(shown, cells, widths, STYLES.get(task.state, ""))


def _with_sign(cells: dict[str, str], width: int) -> dict[str, str]:
    """The cells; where there is no column for the state, its sign is before the title."""
    if width >= COLUMNS[0].shown_from:
        return cells
    return cells | {TITLE: f"{cells['STATE'][:1]} {cells[TITLE]}"}


def _natural(shown: Sequence[Column], rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """How wide each column would like to be."""
    return {
        column.name: max([cell_len(column.name), *(cell_len(cells[column.name]) for cells in rows)])
        for column in shown
    }


def _fit(wanted: dict[str, int], width: int) -> dict[str, int]:
    """Cut what is flexible: the message first, down to nothing, then the title."""
    room = width - GAP * (len(wanted) - 1)
    fixed = sum(size for name, size in wanted.items() if name not in (TITLE, MESSAGE))
    title = max(1, min(wanted[TITLE], room - fixed))
    if MESSAGE in wanted:
        message = min(wanted[MESSAGE], max(room - fixed - title, (room - fixed) // 2))
        title = max(1, min(wanted[TITLE], room - fixed - message), min(MIN_TITLE, wanted[TITLE]))
        return wanted | {TITLE: title, MESSAGE: max(0, min(message, room - fixed - title))}
    return wanted | {TITLE: title}


def _line(
    shown: Sequence[Column], cells: Mapping[str, str], widths: Mapping[str, int], style: str
) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for place, column in enumerate(shown):
        text, size = cells[column.name], widths[column.name]
        if cell_len(text) > size:
            text = set_cell_size(text, size - 1) + "…" if size else ""
        padding = " " * (size - cell_len(text))
        is_marked = column.name in ("STATE", TITLE) or style == "dim"
        line.append(" " * GAP if place else "")
        line.append(padding if column.is_right else "")
        line.append(text, style if is_marked else "")
        line.append("" if column.is_right else padding)
    line.rstrip()
    return line
