"""Schemathesis drives a running Relay along its own OpenAPI document.

It runs as a program of its own against a running Relay, with every check on, the same requests
every time, and a credential of each kind, so that it is let in.
"""

import subprocess
import sys
from pathlib import Path

import trio

from tests.support.examples import examples
from tests.support.patience import PATIENCE
from tests.support.relay_server import User, running_relay

# Of each operation. The bounds of each parameter and field, and what is just beyond them, are tried
# in any run: they are not counted among the examples.
EXAMPLES = examples(36)
STREAMS = examples(12)  # each good one lasts until its stream's age

CONFIG = f"""\
hooks = "tests.support.schemathesis_hooks"
max-stream-events = 2
request-timeout = {PATIENCE}
generation = {{ deterministic = true, max-examples = {EXAMPLES}, database = "none" }}

# a batch of too many is too large
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 413, 415, 422]

[auth.openapi]
session = {{ bearer = "${{SESSION}}" }}
hook = {{ bearer = "${{HOOK}}" }}

[[operations]]
include-path = "/api/sse"
generation.max-examples = {STREAMS}

# A hook token may leave the body empty and means itself; a session must name one.
[[operations]]
include-path = "/api/token/revoke"
checks.positive_data_acceptance.expected-statuses = [200, 404, 422]

# No id that is made up is the user's.
[[operations]]
include-name = "DELETE /api/user"
checks.positive_data_acceptance.expected-statuses = [204, 422]

# No code that is made up opens anything.
[[operations]]
include-path = "/api/session/link/redeem"
checks.positive_data_acceptance.expected-statuses = [200, 201, 410]

# No code that is made up proves a mail address, each service has addresses of its own form, and no
# subscription that is made up can be replaced.
[[operations]]
include-name = "POST /api/channels"
checks.positive_data_acceptance.expected-statuses = [200, 201, 404, 409, 422]

# This Relay sends no mail.
[[operations]]
include-path = "/api/email-code"
checks.positive_data_acceptance.expected-statuses = [202, 422]
"""

# a handshake is no call, tests/e2e has those; logging out would end the session under all others
LEFT_OUT = ("/api/rt", "/api/session")


async def test_every_response_is_as_documented(database_url: str, tmp_path: Path) -> None:
    async with running_relay(
        database_url, RELAY_RATE_LIMITS="off", RELAY_STREAM_MAX_AGE="1"
    ) as relay:
        left_out = [f"--exclude-path={path}" for path in LEFT_OUT]
        for chosen in (left_out, ["--include-path=/api/session", "--phases=coverage,fuzzing"]):
            done = await schemathesis(await relay.user(), tmp_path, *chosen)
            assert done.returncode == 0, done.stdout.decode()[-20_000:]


async def schemathesis(
    user: User, folder: Path, *chosen: str
) -> "subprocess.CompletedProcess[bytes]":
    """All of its phases and checks, along the document of the user's Relay."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    command = (sys.executable, "-m", "schemathesis.cli", "--config-file", str(config))
    run = ("run", f"{user.relay.url}/openapi.json", "--checks=all", "--continue-on-failure")
    with trio.fail_after(10 * PATIENCE):  # thousands of requests
        return await trio.run_process(
            [*command, *run, *chosen],
            env={
                "SESSION": user.session,
                "HOOK": await user.hook(),
                "NO_COLOR": "1",
                "PYTHONPATH": str(Path(__file__).parents[3]),  # where its hooks are
            },
            cwd=folder,  # what it remembers of one run is no part of the next
            capture_stdout=True,
            check=False,
        )
