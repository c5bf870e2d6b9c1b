"""The alert rules, their tests, their runbook and the dashboard agree with the program."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from relay.events import EVENT_TYPES, NOTE_TYPES
from tests.support.metrics import METRICS
from tests.support.patience import PATIENCE
from tests.support.programs import program
from tests.support.prometheus import OPS

ALERTS = OPS / "prometheus" / "alerts.yml"
CASES = OPS / "prometheus" / "alerts.test.yml"
RUNBOOK = OPS.parent / "docs" / "how-to" / "respond-to-alerts.md"
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in RULES]
DASHBOARD: dict[str, Any] = json.loads((OPS / "grafana" / "relay.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def series() -> dict[str, set[str]]:
    """Every series the program can show, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in METRICS:
        (family,) = metric.describe()
        for suffix in SUFFIXES[family.type]:
            found[family.name + suffix] = {*metric._labelnames}
    return found


SERIES = series()


def unknown(expression: str) -> list[str]:
    """What an expression asks for that the program does not show, series and labels alike."""
    wrong = [name for name in re.findall(r"\brelay_\w+", expression) if name not in SERIES]
    for name, braces in re.findall(r"\b(relay_\w+)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+)\s*[=!]~?", braces)) - {"job", "instance", "le"}
        wrong += [f"{name}.{label}" for label in labels - SERIES.get(name, set())]
    return wrong


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_is_complete(rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"]) == []
    assert rule["labels"]["severity"] in ("critical", "warning")
    annotations = rule["annotations"]
    assert {"summary", "description", "runbook_url"} == annotations.keys()
    path, _, anchor = annotations["runbook_url"].partition("#")
    assert OPS.parent / path == RUNBOOK
    assert anchor == rule["alert"].lower()


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_what_has_passed_does_not_page(rule: dict[str, Any]) -> None:
    """A count within a window is there for the window's length after the last one."""
    if rule["labels"]["severity"] == "critical" and rule["expr"].strip().endswith("> 0"):
        for window in re.findall(r"\[(\w+)\]", rule["expr"]):
            assert seconds(rule.get("for", "0s")) > seconds(window)


# a process in which nothing has happened yet: one that serves alone, and a worker
STARTED = {
    "alone": "import relay.services",
    "worker": """
import sys
sys.argv[1:] = ["--mark=0"]
from relay.cli import worker
worker.join_service_metrics()
""",
}
SCRAPE = """
import sys
from relay.observability.exposition import exposition
make, _ = exposition("")
sys.stdout.buffer.write(make())
"""


@pytest.fixture(scope="module", params=STARTED)
def first_scrape(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Sample]:
    """What Prometheus sees before the first request."""
    environ = {name: value for name, value in os.environ.items() if "PROMETHEUS" not in name}
    if request.param == "worker":
        waiting = tmp_path_factory.mktemp("metrics") / "waiting"
        waiting.mkdir()
        environ["PROMETHEUS_MULTIPROC_DIR"] = str(waiting)
    done = subprocess.run(
        [sys.executable, "-c", STARTED[request.param] + SCRAPE],
        capture_output=True,
        text=True,
        env=environ,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    families = text_string_to_metric_families(done.stdout)
    return [sample for family in families for sample in family.samples]


def test_what_alerts_compare_with_0_is_there_before_the_first(first_scrape: list[Sample]) -> None:
    """A series that begins at 1 has not increased, and a missing one is not 0."""
    compared = [rule["expr"] for rule in RULES if re.search(r"(>|==) 0(?![.\d])", rule["expr"])]
    counters = {name for name in SERIES if name.endswith("_total")}
    asked = {
        (name, matchers)
        for expression in compared
        for name, matchers in re.findall(r"\b(relay_\w+)(?:\{([^}]*)\})?", expression)
        if name in counters
    }
    assert ("relay_stream_closes_total", 'code="1011"') in asked
    missing = [
        (name, matchers)
        for name, matchers in asked
        if not any(
            sample.name == name
            and dict(re.findall(r'(\w+)="([^"]*)"', matchers)).items() <= sample.labels.items()
            for sample in first_scrape
        )
    ]
    assert missing == []


def test_each_type_of_event_is_counted_from_0(first_scrape: list[Sample]) -> None:
    counted = {
        sample.labels["event_type"]: sample.value
        for sample in first_scrape
        if sample.name == "relay_events_ingested_total"
    }
    assert counted == dict.fromkeys((*EVENT_TYPES, *NOTE_TYPES), 0)


def test_the_runbook_covers_exactly_the_alerts() -> None:
    headings = re.findall(r"^### (Relay\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings == NAMES


def test_every_alert_is_tested_to_fire_and_to_stay_silent() -> None:
    shown: dict[str, list[bool]] = {}
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        for asked in case["promql_expr_test"]:
            (name,) = re.findall(r'alertname="(\w+)", alertstate="firing"', asked["expr"])
            shown.setdefault(name, []).append(bool(asked["exp_samples"]))
    assert {name: sorted(both) for name, both in shown.items()} == {
        name: [False, True] for name in NAMES
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("promtool", "check", "rules", str(ALERTS)),
        ("promtool", "test", "rules", str(CASES)),
        ("promtool", "check", "config", "--syntax-only", str(OPS / "prometheus/prometheus.yml")),
        ("amtool", "check-config", str(OPS / "alertmanager" / "alertmanager.yml")),
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_promtool_and_amtool_accept_the_files(arguments: tuple[str, ...]) -> None:
    package = "prometheus" if arguments[0] == "promtool" else "prometheus-alertmanager"
    command = [program(arguments[0], package), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_never_fires_fails_its_test(tmp_path: Path) -> None:
    cases = yaml.safe_load(CASES.read_text())
    cases["tests"] = [case for case in cases["tests"] if case["name"] == "RelayDatabaseAway"]
    (tmp_path / CASES.name).write_text(yaml.safe_dump(cases))
    text = ALERTS.read_text()
    assert "relay_database_away == 1" in text
    (tmp_path / ALERTS.name).write_text(text.replace("_away == 1", "_away == 2"))
    command = [program("promtool", "prometheus"), "test", "rules", str(tmp_path / CASES.name)]
    assert (
        subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode == 1
    )


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_panels_query_existing_metrics(title: str, expression: str) -> None:
    assert unknown(expression) == [], title


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_dashboard_shows_every_metric_that_an_alert_is_about() -> None:
    shown = {name for _, it in expressions() for name in re.findall(r"\brelay_\w+", it)}
    alerted = {name for rule in RULES for name in re.findall(r"\brelay_\w+", rule["expr"])}
    assert alerted - shown <= {"relay_housekeeping_last_success_timestamp_seconds"}
