"""Public suites against this checkout: WebSocket cases, and a client generated from OpenAPI.

They need packages that Relay's own environment does not have: `.ci/public-suites` installs them,
and passes the folder of their programs. Exit code 0: each suite finds what it should.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from relay.server.limits import ConnectionLimits
from tests.support.commands import RELAY, environment, running
from tests.support.patience import PATIENCE
from tests.support.server.echo import Echo
from tests.support.server.stage import serving

# What the generator leaves out: bodies of NDJSON, and answers of any type. Both are in the
# reference; neither has a form in JSON Schema.
KNOWN_WARNINGS = 2
FAILURES = {"FAILED", "UNCLEAN", "WRONG CODE", "FAILED BY CLIENT"}
MAX_MESSAGE_BYTES = 16 * 2**20  # the largest message of the suite, which Relay does not take
NO_LIMIT = 10**9  # frames in a burst: the suite floods on purpose


async def websocket_cases(programs: Path, folder: Path) -> None:
    """Autobahn's cases, by kosoku. Raises AssertionError if one fails."""
    limits = ConnectionLimits(max_frames=NO_LIMIT)
    async with serving(
        Echo(), limits=limits, websocket_max_message_size=MAX_MESSAGE_BYTES
    ) as server:
        command = [str(programs / "kosoku"), f"127.0.0.1:{server.port}", "-p", "4"]
        with trio.fail_after(PATIENCE):
            done = await trio.run_process(
                [*command, "-o", str(folder)], check=False, capture_stdout=True, capture_stderr=True
            )
    cases = _cases(folder)
    behaviour = Counter(case["behavior"] for case in cases.values())
    print(f"WebSocket cases: {dict(behaviour)}")
    failed = {name for name, case in cases.items() if case["behavior"] in FAILURES}
    assert not failed, f"failed: {sorted(failed)}\n{done.stdout.decode()}"
    assert len(cases) > 200, f"only {len(cases)} cases ran"


def _cases(folder: Path) -> dict[str, dict[str, str]]:
    """The cases of the suite's report, by their numbers."""
    (report,) = folder.rglob("index.json")
    cases: dict[str, dict[str, str]]
    (cases,) = json.loads(report.read_text()).values()
    return cases


async def generated_client(programs: Path, folder: Path) -> None:
    """A Python client from `/openapi.json`. Raises AssertionError for an unknown warning."""
    async with running((*RELAY, "serve", "--bind", "127.0.0.1:0"), folder) as server:
        command = [
            *(str(programs / "openapi-python-client"), "generate", "--meta", "none"),
            *("--url", f"{await server.url()}/openapi.json", "--output-path", str(folder / "out")),
        ]
        with trio.fail_after(PATIENCE):
            done = await trio.run_process(
                command,
                check=False,
                env=environment(),
                capture_stdout=True,
                stderr=subprocess.STDOUT,
            )
    said = done.stdout.decode()
    warnings = [line for line in said.splitlines() if line.startswith("WARNING")]
    print(f"Generated client: {len(warnings)} warnings")
    assert done.returncode == 0, said
    assert len(warnings) <= KNOWN_WARNINGS, said


async def run_all(programs: Path) -> None:
    """Run each suite in a folder of its own."""
    for suite in (websocket_cases, generated_client):
        with TemporaryDirectory(prefix="relay-") as folder:
            await suite(programs, Path(folder))


if __name__ == "__main__":
    trio.run(run_all, Path(sys.argv[1]))
