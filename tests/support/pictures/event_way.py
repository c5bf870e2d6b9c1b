"""The way of one event across two processes, as a drawing, checked against the code.

    python -m tests.support.pictures.event_way > docs/images/event-way.svg

A step is a function. The links say which function reaches which, and how; `faults` reads the code
and names each link that is not there.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Literal

PACKAGE = Path(__file__).parents[3] / "relay"
LANES = ("Process A", "Process A, in its own task", "Postgres", "Process B")
A, TASK, POSTGRES, B = range(len(LANES))

WIDTH, HEIGHT, PITCH, ROW = 226, 52, 262, 72  # pixels: of a box; from lane to lane, row to row
TOP, MARGIN = 44, 18
STYLE = (
    "rect{fill:#fff;stroke:#57606a}text{font:11px ui-monospace,monospace;fill:#57606a}"
    ".lane{font:600 14px sans-serif;fill:#1f2328}.name{font-weight:700;fill:#1f2328}"
    ".why{font:11px sans-serif}.sql rect{fill:#ddf4ff}"
    "path{fill:none;stroke:#0969da;stroke-width:1.5}.head{fill:#0969da;stroke:none}"
    "@media(prefers-color-scheme:dark){rect{fill:#161b22;stroke:#8b949e}text{fill:#8b949e}"
    ".lane,.name{fill:#e6edf3}.sql rect{fill:#0c2d4d}path{stroke:#58a6ff}.head{fill:#58a6ff}}"
)


@dataclass(frozen=True)
class Step:
    """A function of a file of relay/, and its place in the picture.

    `sql` is what it has Postgres do; its file has that text.
    """

    lane: int
    row: int
    file: str
    function: str
    why: str
    sql: str = ""


How = Literal["call", "pull", "attribute", "callback", "same"]


@dataclass(frozen=True)
class Link:
    """How one step reaches the next.

    call: it calls it, through the functions of its own file that are named.
    pull: the next step calls the function named, of the first one's file, and waits in it.
    attribute: both use the attribute named: the first sets it, the next waits for it.
    callback: one of the two files hands the next step over as a value.
    same: both are parts of one function.
    """

    source: str
    target: str
    how: How
    names: tuple[str, ...] = ()


_BACKPLANE = "realtime/postgres_backplane.py"
STEPS = {
    "post": Step(A, 0, "blueprints/webhook.py", "ingest", "reads the body, charges the limits"),
    "take": Step(A, 1, "ingest/ingest.py", "ingest_event", "waits for a slot of the user"),
    "parse": Step(A, 2, "ingest/parsing.py", "parse_event", "decodes and checks the event"),
    "publish": Step(A, 3, "ingest/publisher.py", "publish", "stores it, then counts it"),
    "append": Step(A, 4, "db/journal.py", "append", "waits for the next commit"),
    "commit": Step(A, 5, "db/journal.py", "_commit", "one statement for all that waits"),
    "insert": Step(
        POSTGRES,
        5,
        "db/append.py",
        "build_statement",
        "numbers, inserts, commits",
        "append_requests",
    ),
    "committed": Step(A, 6, "db/journal.py", "_deliver_new", "after the commit, user by user"),
    "deliver": Step(A, 7, "ingest/publisher.py", "_deliver", "encodes it once for all readers"),
    "hub": Step(A, 8, "realtime/hub.py", "publish", "finds this user's readers"),
    "offer": Step(A, 9, "realtime/inbox.py", "offer", "a reader at rest: writes at once"),
    "follow": Step(
        A, 10, "realtime/stream_connection.py", "_follow", "a busy reader: takes what waits"
    ),
    "send": Step(A, 11, "realtime/websocket.py", "send", "frames it (SSE: sse.py)"),
    "wire": Step(A, 12, "server/wire.py", "send", "writes to the socket, in order"),
    "announce": Step(TASK, 7, _BACKPLANE, "announce_events", "while another process lives"),
    "gather": Step(
        TASK, 8, "realtime/announcements.py", "add_events", "its bytes, or its position if large"
    ),
    "send_notifications": Step(
        TASK, 9, _BACKPLANE, "_send_notifications", "one statement at a time, for all that waits"
    ),
    "notify": Step(
        POSTGRES,
        9,
        _BACKPLANE,
        "_send_notifications",
        "on the channel of the user's bucket",
        "pg_notify",
    ),
    "listen": Step(B, 9, "db/listener.py", "run", "where the bucket has a reader"),
    "received": Step(B, 10, _BACKPLANE, "_on_payload", "decodes the notification"),
    "on_notification": Step(
        B, 11, "services.py", "_on_notification", "events, and revoked credentials"
    ),
    "remote": Step(
        B, 12, "realtime/remote_reader.py", "on_notification", "do they follow on? then no query"
    ),
    "read": Step(B, 13, "realtime/remote_reader.py", "run", "otherwise: once for all readers"),
    "many": Step(B, 14, "db/journal.py", "read_many", "one query for all streams"),
    "select": Step(
        POSTGRES, 14, "db/pages.py", "select_events", "what comes next in each stream", "SELECT"
    ),
    "there": Step(B, 15, "realtime/hub.py", "publish", "and on, as in process A"),
}
LINKS = (
    Link("post", "take", "call"),
    Link("take", "parse", "call"),
    Link("take", "publish", "call"),
    Link("publish", "append", "call"),
    Link("append", "commit", "call", ("_run_commit",)),
    Link("commit", "insert", "call", ("_append_events",)),
    Link("commit", "committed", "call"),
    Link("committed", "deliver", "call"),
    Link("deliver", "hub", "call"),
    Link("deliver", "announce", "call"),
    Link("hub", "offer", "call"),
    Link("offer", "follow", "pull", ("take",)),
    Link("follow", "send", "call", ("_write",)),
    Link("send", "wire", "call"),
    Link("announce", "gather", "call"),
    Link("announce", "send_notifications", "attribute", ("_woken",)),
    Link("send_notifications", "notify", "same"),
    Link("notify", "listen", "callback"),
    Link("listen", "received", "callback"),
    Link("received", "on_notification", "callback"),
    Link("on_notification", "remote", "call"),
    Link("remote", "there", "call", ("_publish_announced", "_publish_to_readers")),
    Link("remote", "read", "attribute", ("_woken",)),
    Link("read", "many", "call", ("_publish",)),
    Link("many", "select", "call"),
    Link("read", "there", "call", ("_publish", "_publish_to_readers")),
)


# -- the code


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text())


def _bodies(file: str, function: str) -> Sequence[ast.AST]:
    """All functions and methods of that name in the file."""
    return [
        node
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
    ]


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _called(file: str, function: str) -> set[str]:
    return {
        _name(node.func)
        for body in _bodies(file, function)
        for node in ast.walk(body)
        if isinstance(node, ast.Call)
    }


def _attributes(file: str, function: str) -> set[str]:
    return {
        node.attr
        for body in _bodies(file, function)
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute)
    }


def _values(file: str) -> set[str]:
    """Names that the file uses as values, and does not call."""
    tree = _tree(file)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {_name(node) for node in ast.walk(tree) if _name(node) and id(node) not in called}


def _holds(link: Link) -> bool:
    source, target = STEPS[link.source], STEPS[link.target]
    match link.how:
        case "call":
            chain = [source.function, *link.names, target.function]
            return all(below in _called(source.file, above) for above, below in pairwise(chain))
        case "pull":
            return all(
                _bodies(source.file, name) and name in _called(target.file, target.function)
                for name in link.names
            )
        case "attribute":
            both = _attributes(source.file, source.function)
            return set(link.names) <= both & _attributes(target.file, target.function)
        case "callback":
            return target.function in _values(source.file) | _values(target.file)
        case "same":
            return (source.file, source.function) == (target.file, target.function)


def faults(links: Sequence[Link] = LINKS) -> Iterator[str]:
    """What the code does not have of the picture."""
    for name, step in STEPS.items():
        if not _bodies(step.file, step.function):
            yield f"{name}: relay/{step.file} has no function {step.function}"
        if step.sql not in (PACKAGE / step.file).read_text():
            yield f"{name}: relay/{step.file} has no {step.sql}"
    for link in links:
        if not _holds(link):
            yield f"{link.source} does not reach {link.target} by {link.how} {link.names}"


# -- the drawing


def drawing() -> str:
    """The SVG."""
    width = 2 * MARGIN + PITCH * (len(LANES) - 1) + WIDTH
    height = TOP + ROW * max(step.row for step in STEPS.values()) + HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
    ]
    lines += [
        f'<text class="lane" x="{MARGIN + PITCH * lane}" y="26">{escape(title)}</text>'
        for lane, title in enumerate(LANES)
    ]
    lines += [_arrow(STEPS[link.source], STEPS[link.target]) for link in LINKS]
    lines += [_box(step) for step in STEPS.values()]
    return "\n".join([*lines, "</svg>\n"])


def _place(step: Step) -> tuple[int, int]:
    return MARGIN + PITCH * step.lane, TOP + ROW * step.row


def _box(step: Step) -> str:
    x, y = _place(step)
    kind = ' class="sql"' if step.sql else ""
    return (
        f'<g{kind}><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text class="name" x="{x + 9}" y="{y + 16}">{escape(step.sql or step.function)}</text>'
        f'<text x="{x + 9}" y="{y + 30}">{escape(step.file)}</text>'
        f'<text class="why" x="{x + 9}" y="{y + 45}">{escape(step.why)}</text></g>'
    )


def _arrow(source: Step, target: Step) -> str:
    (x, y), (to_x, to_y) = _place(source), _place(target)
    if source.lane != target.lane:
        right = to_x > x
        x, to_x = (x + WIDTH, to_x) if right else (x, to_x + WIDTH)
        y, to_y, step = y + HEIGHT // 2, to_y + HEIGHT // 2, 7 if right else -7
        head = f"M{to_x} {to_y}l{-step} -4v8z"
        return f'<path d="M{x} {y}L{to_x - step} {to_y}"/><path class="head" d="{head}"/>'
    x, y = x + WIDTH // 2, y + HEIGHT
    head = f"M{x} {to_y}l-4 -7h8z"
    if target.row - source.row == 1:
        return f'<path d="M{x} {y}V{to_y - 7}"/><path class="head" d="{head}"/>'
    # past the steps between, on the side where nothing else is
    side = 1 if source.lane == len(LANES) - 1 else -1
    edge, middle = x + side * (WIDTH // 2), to_y + HEIGHT // 2
    way = f"M{edge} {y - HEIGHT // 2}h{9 * side}V{middle}h{-2 * side}"
    return f'<path d="{way}"/><path class="head" d="M{edge} {middle}l{7 * side} -4v8z"/>'


if __name__ == "__main__":
    sys.stdout.write(drawing())
