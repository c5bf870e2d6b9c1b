"""What a server that works has imported, as it says when it ends."""

import sys
from pathlib import Path

import httpx
import pytest

from tests.support.commands import environment, running
from tests.support.patience import PATIENCE
from tests.support.relay_server import visiting

# `relay serve`, which writes what it has imported into a file when it ends
SERVE = """
import atexit, sys
from relay.cli.main import main
atexit.register(lambda: open("imported", "w").write(" ".join(sys.modules)))
main(["serve", "--bind", "127.0.0.1:0"])
"""

REFERENCE = {"quart_schema", "relay.web.openapi.documents", "relay.web.openapi.openapi"}
PYDANTIC = {"pydantic", "pydantic_core"}  # which quart-schema imports where it is installed
# What serves channels, a worker, a Valkey, a code for a camera, the demo, or nothing at all.
UNUSED = {
    *("rich", "segno", "tqdm", "hiredis", "sentry_sdk", "httpx", "httpcore"),
    *("relay.client.client", "relay.cli.demo", "relay.workers.worker"),
}


@pytest.mark.parametrize(
    ("asked", "used"),
    [("/healthz", set()), ("/openapi.json", REFERENCE | PYDANTIC)],
    ids=["events", "docs"],
)
async def test_a_server_imports_the_reference_only_when_it_is_asked_for_it(
    database_url: str, tmp_path: Path, asked: str, used: set[str]
) -> None:
    command = (sys.executable, "-c", SERVE)
    async with running(command, tmp_path, environment(database_url)) as server:
        url = await server.url()
        async with visiting(url) as relay:
            user = await relay.user()
            async with user.websocket() as stream:
                await stream.hello()
                await user.publish(1)
                assert [event["seq"] for event in await stream.events(1)] == [1]
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            assert (await http.get(f"{url}{asked}")).status_code == 200
        server.process.terminate()
        assert await server.ended() == 0
    imported = set((tmp_path / "imported").read_text().split())
    assert {"relay.serving", "quart", "joserfc"} <= imported
    assert imported & (UNUSED | REFERENCE | PYDANTIC) == used
