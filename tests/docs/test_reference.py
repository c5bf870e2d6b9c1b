"""The reference documents everything the program has, under the same names."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client.metrics import MetricWrapperBase

import relay.client
import relay.serving
from relay.app import create_app
from relay.cli.main import main
from relay.config.settings import Settings
from relay.db.export import TABLES
from relay.realtime.close_codes import Close
from tests.support.metrics import METRICS
from tests.support.problems import HINTS, PROBLEMS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md")),
]

_SUFFIX = {"counter": "_total"}


def rows(page: str) -> list[list[str]]:
    """The cells of every table row of a reference page, headings and rulers included."""
    lines = (REFERENCE / page).read_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]


def commands(command: click.Command, words: str = "relay") -> Iterator[tuple[str, click.Command]]:
    """Every command under its whole name; groups are passed through."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from commands(below, f"{words} {name}")


def exposed(metric: MetricWrapperBase) -> str:
    """A metric's name as Prometheus' text format spells it."""
    (family,) = metric.describe()
    return f"{family.name}{_SUFFIX.get(family.type, '')}"


SETTINGS = [field.metadata for field in dataclasses.fields(Settings)]
EXPOSED = {exposed(metric): metric for metric in METRICS}
COMMANDS = dict(commands(main))
ROUTES = sorted({rule.rule for rule in create_app(Settings()).url_map.iter_rules()})


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting["name"])
def test_every_setting_is_documented_with_unit_default_and_reason(setting: dict[str, str]) -> None:
    row = [f"`{setting['name']}`", setting["unit"], setting["shown"], setting["why"]]
    assert row in rows("settings.md")


def test_no_unknown_setting_is_documented() -> None:
    named = {cells[0].strip("`") for cells in rows("settings.md")[2:]}
    assert named == {setting["name"] for setting in SETTINGS}


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_error_code_is_documented_with_its_status_and_its_hint(code: str) -> None:
    (row,) = [cells for cells in rows("errors.md") if cells[0] == f"`{code}`"]
    assert (row[1], row[2] in HINTS[code]) == (str(PROBLEMS[code].status), True)


def test_no_unknown_error_code_is_documented() -> None:
    named = {cells[0].strip("`") for cells in rows("errors.md")[2:]}
    assert named == set(PROBLEMS)


@pytest.mark.parametrize("close", Close)
def test_every_close_code_is_documented_with_reason_and_advice(close: Close) -> None:
    advice = "null" if close.retry_after_ms is None else str(close.retry_after_ms)
    row = [str(close.code), f"`{close.reason}`", advice]
    assert row in [cells[:3] for cells in rows("streams.md")]


def test_no_unknown_close_code_is_documented() -> None:
    coded = [cells for cells in rows("streams.md") if cells[0].isdecimal()]
    named = {(int(cells[0]), cells[1].strip("`")) for cells in coded}
    assert named == {(close.code, close.reason) for close in Close}


@pytest.mark.parametrize("name", EXPOSED)
def test_every_metric_is_documented_with_its_type_and_labels(name: str) -> None:
    metric = EXPOSED[name]
    (row,) = [cells for cells in rows("metrics.md") if cells[0] == f"`{name}`"]
    (family,) = metric.describe()
    kind = family.type
    assert row[1] == kind
    assert re.findall(r"`(\w+)`", row[2].partition(":")[0]) == list(metric._labelnames)


def test_no_unknown_metric_is_documented() -> None:
    text = (REFERENCE / "metrics.md").read_text()
    named = set(re.findall(r"\brelay_\w*[a-z]\b", text))
    assert named == set(EXPOSED)


LEVELS = {"debug", "info", "warning", "error", "exception", "log"}
LOGS = re.compile(r"\blog\s*\.|\bWorkFailures\b")


def logged_events() -> Iterator[tuple[str, set[str]]]:
    """Every event that relay/ logs, with the fields that stand in its call."""
    for path in (ROOT / "relay").rglob("*.py"):
        source = path.read_text()
        if not LOGS.search(source):
            continue  # each process of a run reads all of relay/ while it collects
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("log"), attr=level)) if (
                    level in LEVELS
                ):
                    event = node.args[1 if level == "log" else 0]
                    assert isinstance(event, ast.Constant), f"{path}: an event is a plain word"
                    fields = {keyword.arg for keyword in node.keywords if keyword.arg}
                    if level == "exception" or "exc_info" in fields:
                        fields = fields - {"exc_info"} | {"failure"}
                    yield str(event.value), fields
                case ast.Call(func=ast.Name("WorkFailures"), keywords=events):
                    for keyword in events:
                        yield ast.literal_eval(keyword.value), {"error"}


@pytest.mark.parametrize(("event", "fields"), sorted(logged_events(), key=str))
def test_every_log_event_is_documented_with_its_fields(event: str, fields: set[str]) -> None:
    found = [cells for cells in rows("logs.md") if cells[0] == f"`{event}`"]
    assert len(found) == 1, f"{event} has no row, or several"
    assert fields <= set(re.findall(r"`(\w+)`", found[0][2]))


def test_no_unknown_log_event_is_documented() -> None:
    text = (REFERENCE / "logs.md").read_text().partition("## Every event")[2]
    named = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    assert named == {event for event, _ in logged_events()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_options(name: str) -> None:
    text = (REFERENCE / "cli.md").read_text()
    found = re.search(rf"^## `{name}`$\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"{name} has no section"
    parameters = [one for one in COMMANDS[name].params if isinstance(one, click.Option)]
    options = {option for parameter in parameters for option in parameter.opts}
    cells = re.findall(r"^\| (`--[^|]+) \|", found[1], re.MULTILINE)
    named = {option for cell in cells for option in re.findall(r"`(--?[\w-]+)", cell)}
    assert named == options


def test_the_promise_has_every_name_of_the_python_client() -> None:
    _, _, table = (REFERENCE / "versions.md").read_text().partition("| covered of `relay.client` |")
    assert set(re.findall(r"`(\w+)`", table.partition("\n\n")[0])) == set(relay.client.__all__)


def test_every_kind_of_line_in_an_export_is_documented() -> None:
    _, _, line = (REFERENCE / "http.md").read_text().partition("| one for each row | ")
    named = set(re.findall(r"`(\w+)`", line.partition(" The other fields")[0]))
    assert {table.kind for table in TABLES} <= named


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_is_documented(route: str) -> None:
    spelled = re.sub(r"<(ask_id|channel_id)>", r"{\1}", route)  # as in the OpenAPI document
    assert re.search(rf"`[A-Z]+ {re.escape(spelled)}`", (REFERENCE / "http.md").read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue  # elsewhere: not ours to test
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link} names no heading"


def pictures(page: Path) -> set[Path]:
    named = re.findall(r'(?:src|srcset)="([^"]+)"', page.read_text())
    return {(page.parent / name).resolve() for name in named}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_shown_pictures_exist_and_have_a_text(page: Path) -> None:
    assert [picture for picture in pictures(page) if not picture.is_file()] == []
    images = re.findall(r"<img [^>]*>", page.read_text())
    assert [image for image in images if not re.search(r'alt="[^"]{10,}"', image)] == []


def test_every_picture_is_used_and_small() -> None:
    taken = set((DOCS / "images").iterdir())
    assert taken == set().union(*(pictures(page) for page in PAGES))
    assert [picture.name for picture in taken if picture.stat().st_size > 200_000] == []


def anchors(page: Path) -> set[str]:
    """The names that headings get, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:bench|docs|examples|ops|relay|sql|tests)/[\w/.-]+)`", page.read_text()
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_attack_names_an_existing_test() -> None:
    page = (DOCS / "explanation" / "security.md").read_text()
    table = page[page.index("| attack |") :].splitlines()[2:]
    assert len(table) > 25
    tried: set[str] = set()
    for row in table:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row.strip("|").split("|")[2])
        assert named, row
        tried.update(named)
    assert [name for name in sorted(tried) if not (ROOT / name).is_file()] == []
    ours = {f"tests/security/{path.name}" for path in (ROOT / "tests/security").glob("test_*.py")}
    assert ours <= tried  # whatever attacks stands there


def test_every_page_is_linked_from_the_index() -> None:
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}
    pages -= {page for page in pages if re.search(r"/decisions/\d", page)}  # on a map of their own
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)\)", (DOCS / "README.md").read_text()))
    assert pages <= linked


def test_every_file_in_ops_is_named_in_a_how_to() -> None:
    guides = "".join(page.read_text() for page in (DOCS / "how-to").glob("*.md"))
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "ops").rglob("*") if path.is_file()]
    assert files
    assert [name for name in files if name not in guides] == []


# what is no setting of the server: the command line's own, and the tests'
OTHER_VARIABLES = {"RELAY_URL", "RELAY_TOKEN", "RELAY_PID", "RELAY_TEST_ALL"}


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(path for path in (ROOT / "ops").rglob("*") if path.is_file())],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_named_settings_exist(page: Path) -> None:
    named = set(re.findall(r"\bRELAY_[A-Z_]*[A-Z]\b", page.read_text()))
    assert named - {setting["name"] for setting in SETTINGS} - OTHER_VARIABLES == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_shown_commands_exist(page: Path) -> None:
    """Each `$ relay …` line is a command of ours with options of its own."""
    for line in re.findall(r"^ *\$ (?:.*[|&;] *)?(relay .*)$", page.read_text(), re.MULTILINE):
        words = re.split(r"[;&|#]", line)[0].split()
        name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in COMMANDS), "")
        assert name, f"{line} is no command"
        given = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"}
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert given - options - {"--help"} == set(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_metrics_exist(page: Path) -> None:
    named = set(re.findall(r"`(relay_[a-z_]+)[`{]", page.read_text())) - {
        "relay_session"
    }  # the cookie
    bare = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named}
    assert bare - set(EXPOSED) == set()


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert re.findall(r"^([a-z-]+):.*  ## .", makefile, re.MULTILINE) == phony.split()
