"""A Postgres cluster on disk: its atomic creation, its settings, and whether it is ready."""

import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from .errors import EmbeddedError
from .folder import PORT, sync_folder, write_secret
from .programs import Programs

ROLE = DATABASE = "relay"

# Passed as flags at every start, so that they are those of this version of Relay.
SETTINGS = {
    # An acknowledged event survives any crash. These are the defaults and must stay on.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # For one application on one machine: a journal that is mostly appended to and read at its end.
    "superuser_reserved_connections": "0",  # no superuser connects
    "shared_buffers": "64MB",  # the recent end of the journal; the kernel caches the rest
    "max_wal_size": "512MB",  # a busy hour between checkpoints, yet seconds of crash recovery
    "checkpoint_timeout": "15min",  # fewer checkpoints write fewer full pages to the WAL
    "wal_compression": "pglz",  # full pages, most of what is written after each checkpoint
    "backend_flush_after": "256kB",  # else a checkpoint after many writes delays commits
    "io_method": "sync",  # saves three I/O worker processes; most reads come from the cache
    "max_logical_replication_workers": "0",  # saves the launcher process; there is no replication
    "jit": "off",  # compiling a query costs more than any of Relay's queries
    "timezone": "UTC",
    # An abandoned transaction holds its user's row lock, and other writers wait for that.
    "idle_in_transaction_session_timeout": "30s",
    # A long query ends when its client has disconnected.
    "client_connection_check_interval": "10s",
    # The log is for problems of the server. Relay reports failed statements itself; here they
    # would log what users sent, and let users grow the file.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
}


class Cluster(msgspec.Struct, frozen=True):
    """The cluster at `path`, in the data folder of `programs`."""

    path: Path
    programs: Programs

    async def ensure(self) -> str:
        """Create the cluster if there is none; returns the password of the role `relay`.

        Raises EmbeddedError if these programs cannot serve an existing one.
        """
        secret = self.programs.folder / "postgres.password"
        if not self.path.exists():
            password = secrets.token_urlsafe(32)
            write_secret(secret, password)  # first, so that no cluster is without its password
            await self._create(password)
            return password
        await self._check_version()
        if not secret.exists():
            raise EmbeddedError(f"{secret} is missing: the database cannot be opened without it")
        self.programs.account.take_ownership(self.path)
        return secret.read_text().strip()

    async def _create(self, password: str) -> None:
        """Create the cluster in a temporary folder, and rename it when it is complete."""
        folder = self.programs.folder
        for abandoned in folder.glob("postgres.new-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        # A new name each time: the initdb of a killed run may still write to an old one.
        work = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=folder))
        try:
            write_secret(work / "superuser", secrets.token_urlsafe(32))  # discarded: never used
            self.programs.account.take_ownership(work)
            await self.programs.run(
                "initdb",
                *("-D", str(work / "cluster"), "--username=postgres"),
                *(f"--pwfile={work / 'superuser'}", "--auth=scram-sha-256"),
                # The same sort order on every machine, with any version of its C library.
                *("--encoding=UTF8", "--no-locale", "--locale-provider=builtin"),
                "--builtin-locale=C.UTF-8",
            )
            # Relay's role owns its database and may create more, for its tests. It is no superuser:
            # a superuser may read files and run programs, in a user namespace with root's files.
            await self.programs.run(
                *("postgres", "--single", "-D", str(work / "cluster")),
                *(*_flags(SETTINGS | {"exit_on_error": "on"}), "postgres"),
                stdin=(
                    f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'\n"
                    f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
                ).encode(),
            )
            (work / "cluster").rename(self.path)
            sync_folder(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    async def _check_version(self) -> None:
        try:
            ours = (self.path / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise EmbeddedError(f"{self.path} is not a Postgres cluster: move it away") from None
        # "postgres (PostgreSQL) 18.6"
        theirs = (await self.programs.run("postgres", "--version")).split()[2].split(".")[0]
        if ours != theirs:
            raise EmbeddedError(
                f"{self.path} was made by Postgres {ours} and this is Postgres {theirs}: dump it "
                f"with Relay's earlier version (pg_dump), move the data folder away, start Relay "
                "again and restore the dump (psql)"
            )

    def launch(self, sockets: Path, log: int, connections: int) -> subprocess.Popen[bytes]:
        """Start the server. It listens only on a socket in the folder `sockets`."""
        return self.programs.launch(
            *("postgres", "-D", str(self.path)),
            *_flags(
                SETTINGS
                | {
                    "listen_addresses": "",
                    "max_connections": str(connections),
                    "port": str(PORT),
                    "unix_socket_directories": '"{}"'.format(str(sockets).replace('"', '""')),
                    "unix_socket_permissions": "0700",
                }
            ),
            output=log,
        )

    def is_ready(self, pid: int) -> bool:
        """Whether the server with this process id accepts connections, found as `pg_ctl` does."""
        try:
            text = (self.path / "postmaster.pid").read_text(errors="replace")
        except FileNotFoundError:
            return False
        lines = text.splitlines()
        # Postgres adds lines as it starts: the first is its process id, the eighth its state.
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _flags(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
