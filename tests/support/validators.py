"""Public validators over what a running Relay serves: OpenAPI, AsyncAPI, pages, style sheets.

They are packages of npm, which `.ci/public-suites` installs. What they find is compared with what
is known, both ways: what is no longer found is taken from the table.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx

from tests.support.commands import environment, run_command
from tests.support.patience import PATIENCE

CHECKED = (".html", ".css", ".svg")  # by the checker of pages
SCRIPTS = Path(__file__).parent / "scripts"
RULES = 'extends: ["spectral:oas", "spectral:asyncapi"]\n'
DOCUMENTS = ("openapi.json", "asyncapi.json")
PAGES = {"/": "index.html", "/docs": "docs.html", "/no-such-page": "not-found.html"}

Finding = tuple[str, str]
"""The validator's rule, and the path or the file it is about; "" for a whole document."""

KNOWN: dict[Finding, str] = {
    ("operation-2xx-response", "/api/rt"): "a WebSocket is answered with 101",
    ("operation-success-response", "/api/rt"): "a WebSocket is answered with 101",
    ("operation-2xx-response", "/install/relay.whl"): "it redirects to the wheel's own name",
    ("operation-description", ""): "a summary of one sentence has nothing to add",
    ("info-contact", ""): "each Relay is another operator's",
    ("asyncapi-info-contact", ""): "each Relay is another operator's",
    ("asyncapi-3-tags", ""): "two operations need no groups",
    ("asyncapi-latest-version", ""): "more programs read 3.0, and nothing of 3.1 is used",
    (
        "CSS: “vector-effect”: Property “vector-effect” doesn't exist.",
        "board.css",
    ): "a property of SVG 2, which the checker does not know",
    (
        "CSS: “field-sizing”: Property “field-sizing” doesn't exist.",
        "asks.css",
    ): "a field grows with its text in browsers that know it, and the checker does not",
    ("CSS: Unrecognized at-rule “@starting-style”", "tokens.css"): "newer than the checker",
}
EVERYWHERE = {"operation-description"}  # rules that are known wherever they apply


async def validate(url: str, modules: Path, folder: Path) -> None:
    """Raises AssertionError if the validators find anything else than what is known."""
    await _fetch(url, folder)
    found = set()
    for validator in (_redocly, _spectral, _parser, _pages):
        found |= await validator(modules, folder)
    known = set(KNOWN) if shutil.which("java") else {key for key in KNOWN if ":" not in key[0]}
    print(f"Validators: {len(found)} findings, {len(found & known)} known")
    assert found == known, {"new": sorted(found - known), "gone": sorted(known - found)}


async def _fetch(url: str, folder: Path) -> None:
    """Store the documents, the pages and what the pages load, by their names."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        console = {f"/console/{name}": name for name in _of_console()}
        documents = {f"/{name}": name for name in DOCUMENTS}
        for path, name in {**documents, **PAGES, **console}.items():
            answer = await http.get(path, headers={"Accept": "text/html,*/*;q=0.1"})
            assert answer.status_code == (404 if name == "not-found.html" else 200), path
            (folder / name).write_bytes(answer.content)


def _of_console() -> list[str]:
    """The style sheets and pictures of the pages."""
    files = (Path(__file__).parents[2] / "relay" / "console").iterdir()
    return sorted(path.name for path in files if path.suffix in CHECKED and path.suffix != ".html")


async def _redocly(modules: Path, folder: Path) -> set[Finding]:
    program = modules / ".bin" / "redocly"
    report = await _report(folder, program, "lint", "openapi.json", "--format", "json")
    return {
        (problem["ruleId"], _path_of(_parts(place["pointer"])))
        for problem in report["problems"]
        for place in problem["location"][:1]
    }


async def _spectral(modules: Path, folder: Path) -> set[Finding]:
    (folder / "rules.yaml").write_text(RULES)
    program = modules / ".bin" / "spectral"
    report = await _report(folder, program, "lint", *DOCUMENTS, "-r", "rules.yaml", "-f", "json")
    return {_finding(each) for each in report}


async def _parser(modules: Path, folder: Path) -> set[Finding]:
    script = SCRIPTS / "parse_asyncapi.mjs"
    report = await _report(folder, "node", script, modules.parent, "asyncapi.json")
    return {_finding(each) for each in report}


async def _pages(modules: Path, folder: Path) -> set[Finding]:
    if shutil.which("java") is None:
        print("Pages are NOT checked: there is no java")
        return set()
    checker = modules / "vnu-jar" / "build" / "dist" / "vnu.jar"
    files = [*PAGES.values(), *_of_console()]
    options = ("--format", "json", "--also-check-css", "--also-check-svg", "--stdout")
    report = await _report(folder, "java", "-jar", checker, *options, "--exit-zero-always", *files)
    return {(each["message"], Path(each["url"]).name) for each in report["messages"]}


def _finding(diagnostic: dict[str, Any]) -> Finding:
    rule = diagnostic["code"]
    return rule, "" if rule in EVERYWHERE else _path_of(diagnostic["path"])


def _parts(pointer: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901)."""
    parts = pointer.removeprefix("#/").split("/")
    return [part.replace("~1", "/").replace("~0", "~") for part in parts]


def _path_of(parts: list[str]) -> str:
    return parts[1] if parts[0] == "paths" else ""


async def _report(folder: Path, *command: str | Path) -> Any:
    """The report that a command prints as JSON, whatever its exit code."""
    env = environment(REDOCLY_TELEMETRY="off", REDOCLY_SUPPRESS_UPDATE_NOTICE="true")
    done = await run_command(command, folder, env)
    text = done.stdout.decode()
    start = min([at for mark in "{[" if (at := text.find(mark)) >= 0], default=0)
    try:
        return json.JSONDecoder().raw_decode(text[start:])[0]
    except ValueError:
        raise AssertionError(f"{command}: {text!r} {done.stderr!r}") from None
