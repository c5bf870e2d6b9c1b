"""Public suites against this checkout: WebSocket cases, a client from OpenAPI, validators.

They need packages that Relay's own environment does not have: `.ci/public-suites` installs them,
and passes the folder of their programs and the one of Node's modules. Exit code 0: each suite
finds what it should.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from relay.server.limits import ConnectionLimits
from tests.support.commands import RELAY, run_command, running
from tests.support.patience import PATIENCE
from tests.support.server.echo import Echo
from tests.support.server.stage import serving
from tests.support.validators import validate

# What the generator leaves out: a body and an answer of NDJSON. Both are in the reference; neither
# has a form in JSON Schema.
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


async def generated_client(programs: Path, folder: Path, url: str) -> None:
    """A Python client from `/openapi.json`. Raises AssertionError for an unknown warning."""
    command: list[str | Path] = [
        *(programs / "openapi-python-client", "generate", "--meta", "none"),
        *("--url", f"{url}/openapi.json", "--output-path", folder / "out"),
    ]
    done = await run_command(command, folder)
    output = (done.stdout + done.stderr).decode()
    warnings = [line for line in output.splitlines() if line.startswith("WARNING")]
    print(f"Generated client: {len(warnings)} warnings")
    assert done.returncode == 0, output
    assert len(warnings) <= KNOWN_WARNINGS, output


async def run_all(programs: Path, modules: Path) -> None:
    """Run each suite in a folder of its own."""
    with TemporaryDirectory(prefix="relay-") as name:
        cases, data, client, served = [Path(name) / part for part in ("c", "d", "g", "s")]
        for folder in (cases, data, client, served):
            folder.mkdir()
        await websocket_cases(programs, cases)
        async with running((*RELAY, "serve", "--bind", "127.0.0.1:0"), data) as server:
            url = await server.url()
            await generated_client(programs, client, url)
            await validate(url, modules, served)


if __name__ == "__main__":
    trio.run(run_all, Path(sys.argv[1]), Path(sys.argv[2]))
