"""Relay behind a transaction pooler, where no session outlives a statement."""

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import trio

from tests.support.database_proxy import line_to
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.programs import program
from tests.support.two_relays import pair_of

# two connections to the server for all clients, each lent for one statement at a time
CONFIG = """
[databases]
* = host=127.0.0.1 port={at.port} dbname={database} user={at.username} password={at.password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
server_round_robin = 1
"""


@asynccontextmanager
async def pooler_to(dsn: str) -> AsyncIterator[str]:
    """The address of a PgBouncer in front of a Postgres."""
    bouncer, server = program("pgbouncer"), urlsplit(dsn)
    database = server.path.strip("/")
    # it refuses to be root, and the user it becomes must be able to read this
    with HeldPort() as held, tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        port = held.number
        file.write(CONFIG.format(at=server, database=database, port=port))
        file.flush()
        os.chmod(file.name, 0o644)
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        process = await trio.lowlevel.open_process(
            [bouncer, "-q", *user, file.name], stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            with trio.fail_after(PATIENCE):
                while True:
                    try:
                        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                        break
                    except OSError:
                        await trio.sleep(0.02)
            yield f"postgresql://relay@127.0.0.1:{port}/{database}?sslmode=disable"
        finally:
            process.kill()
            await process.wait()


async def test_relay_works_behind_pgbouncer_with_a_direct_address_for_listening(
    tmp_path: Path, database_url: str
) -> None:
    async with (
        line_to(database_url) as line,
        pooler_to(line.dsn) as pooled,
        pair_of(
            tmp_path, database_url, DATABASE_URL=pooled, RELAY_DATABASE_DIRECT_URL=database_url
        ) as pair,
    ):
        await pair.are_in_touch()
        async with trio.open_nursery() as nursery:  # more at once than the pooler has connections
            for _ in range(30):
                nursery.start_soon(pair.there.ask, "/api/me", pair.account.session)
        await pair.are_in_touch()
        await pair.a_revoke_arrives()
        await pair.here.kill()
        await pair.there.shows("relay_housekeeping_holder", lambda count: count == 1)
        assert not pair.there.logged("database_away")
