"""The schema that the migrations give, as SQL: `make schema` keeps it in sql/schema.sql.

One file shows the whole database, and a change of a migration shows in a diff of it.
"""

import re
import sys
import tempfile
from pathlib import Path

import trio

from relay.db.embedded import running_postgres
from relay.db.embedded.programs import find_binaries
from relay.db.migrate import applied_migrations
from relay.db.pool import connect
from relay.db.source import bring_up_to_date
from tests.support.patience import PATIENCE

HEAD = """\
-- The database of this version, written by `make schema` from the migrations beside this file.
-- For reading, and for making an empty database in one step; never edited by hand.

SET check_function_bodies = false; -- functions stand before the tables they name
"""

# What pg_dump says of itself and of its session: it changes with its version, the schema does not.
_NOISE = re.compile(
    r"^(?:-- Name: .*|-- Dumped .*|\\(?:un)?restrict .*|-- PostgreSQL database dump(?: complete)?"
    r"|SET \w+ = .*;|SELECT pg_catalog\.set_config\('search_path', '', false\);|--)\n",
    re.MULTILINE,
)
_BLANK_LINES = re.compile(r"\n{3,}")


async def dump_schema(dsn: str) -> str:
    """What stands in a database: its schema, and which migrations made it."""
    program = [
        str(find_binaries() / "pg_dump"),
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        dsn,
    ]
    found = await trio.run_process(program, capture_stdout=True)
    schema = _NOISE.sub("", found.stdout.decode())
    async with connect(dsn, timeout=PATIENCE) as connection:
        applied = await applied_migrations(connection)
    records = "".join(
        "INSERT INTO public.schema_migrations (version, name, checksum) VALUES"
        f" ({one.version}, '{one.name}', '{one.checksum}');\n"
        for one in applied
    )
    return _BLANK_LINES.sub("\n\n", f"{HEAD}\n{schema}\n{records}")


async def migrated_schema() -> str:
    """The same, of a database that the migrations make now."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_postgres(Path(folder)) as server:
            await bring_up_to_date(server.dsn, apply=True, timeout=PATIENCE)
            return await dump_schema(server.dsn)


if __name__ == "__main__":
    sys.stdout.write(trio.run(migrated_schema))
