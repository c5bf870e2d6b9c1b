"""The Postgres of both compose files: Relay's role in it is no superuser, and enough for Relay.

No image runs here. The script that they mount runs on a Postgres set up as the image sets it up.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio
import yaml

from relay.db.embedded.accounts import list_accounts
from relay.db.embedded.programs import find_programs
from relay.db.pool import connect
from relay.db.source import bring_up_to_date
from relay.errors import DatabaseAway
from tests.support.patience import PATIENCE
from tests.support.programs import program
from tests.support.replicas import Server
from tests.support.reverse_proxies import OPS

SCRIPT = OPS / "container" / "create-role.sql"
SCRIPTS_FOLDER = "/docker-entrypoint-initdb.d"
PASSWORD = "it's a secret"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A new Postgres whose superuser `postgres` has the password, as the image makes it."""
    programs = await find_programs(list_accounts(), tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    (work / "password").write_text(PASSWORD)
    programs.account.take_ownership(work)
    programs.account.take_ownership(work / "password")
    server = Server(programs, work / "cluster")
    await programs.run(
        *("initdb", "-D", str(server.folder), "--username=postgres", "--no-sync"),
        *("--auth=scram-sha-256", f"--pwfile={work / 'password'}"),
    )
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


def address(server: Server, role: str, database: str = "relay") -> str:
    where = f"127.0.0.1:{server.port}/{database}?sslmode=disable"
    return f"postgresql://{role}:{quote(PASSWORD)}@{where}"


@pytest.mark.parametrize("name", ["container", "scale"])
def test_the_script_is_mounted_where_the_image_looks_for_it(name: str) -> None:
    compose: Any = yaml.safe_load((OPS / name / "compose.yaml").read_text())
    _, mount = compose["services"]["postgres"]["volumes"]
    source, target, mode = mount.split(":")
    assert (OPS / name / source).resolve() == SCRIPT
    assert (target, mode) == (f"{SCRIPTS_FOLDER}/{SCRIPT.name}", "ro")


async def test_the_role_of_relay_is_no_superuser_and_is_enough_for_relay(server: Server) -> None:
    psql = (program("psql", "postgresql-client"), "-v", "ON_ERROR_STOP=1", "--no-psqlrc")
    where = ("-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", "postgres")
    with trio.fail_after(PATIENCE):
        await trio.run_process(
            [*psql, *where, "-f", str(SCRIPT)],
            env={"PGPASSWORD": PASSWORD, "POSTGRES_PASSWORD": PASSWORD},
            capture_stdout=True,
        )
    applied = await bring_up_to_date(address(server, "relay"), apply=True, timeout=PATIENCE)
    assert applied
    async with connect(address(server, "relay"), timeout=PATIENCE) as connection:
        (role,) = await connection.fetch(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
            " FROM pg_roles WHERE rolname = current_user"
        )
    assert not any(dict(role).values())
    with pytest.raises(DatabaseAway):
        async with connect(address(server, "postgres", "postgres"), timeout=PATIENCE):
            pass
