"""A Postgres cluster on disk: made whole or not at all, its settings, what it says of itself."""

import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import EmbeddedError
from .folder import PORT, write_secret
from .programs import Programs

ROLE = DATABASE = "relay"

# Given as flags at every start, so they follow Relay's version and not the cluster's age.
SETTINGS = {
    # An acknowledged event outlives any crash. These are the defaults and must stay so.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # One tenant, one machine: a journal that is mostly appended to and read at its end.
    "superuser_reserved_connections": "0",  # nobody connects as superuser
    "shared_buffers": "64MB",  # the recent end of the journal; the kernel caches the rest
    "max_wal_size": "512MB",  # a busy hour between checkpoints, yet seconds of crash recovery
    "checkpoint_timeout": "15min",  # fewer checkpoints, fewer full pages written to the log
    "backend_flush_after": "256kB",  # or a flood's pages hold up the journal at a checkpoint
    "io_method": "sync",  # three reader processes less; reads come from the cache
    "max_logical_replication_workers": "0",  # no replication, no launcher process for it
    "jit": "off",  # compiling a query costs more than any of Relay's queries
    "timezone": "UTC",
    # A transaction forgotten half-way holds its user's row lock: other writers wait for it.
    "idle_in_transaction_session_timeout": "30s",
    # A query whose asker is gone ends by itself, even a long one.
    "client_connection_check_interval": "10s",
    # The log is for what ends or hinders the server. A failed statement is Relay's to report;
    # here it would bring what users sent, and the file would grow with their mistakes.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Cluster:
    """The cluster at `path`, inside the data folder that `programs` work in."""

    path: Path
    programs: Programs

    async def ensure(self) -> str:
        """Make the cluster if there is none; returns the password of the role `relay`.

        Raises EmbeddedError if there is one that these programs cannot serve.
        """
        secret = self.programs.folder / "postgres.password"
        if not self.path.exists():
            password = secrets.token_urlsafe(32)
            write_secret(secret, password)  # first: no cluster is ever without its password
            await self._create(password)
            return password
        await self._check_version()
        if not secret.exists():
            raise EmbeddedError(f"{secret} is missing: the database cannot be opened without it")
        self.programs.account.own(self.path)
        return secret.read_text().strip()

    async def _create(self, password: str) -> None:
        """Make the cluster in a folder of its own, and move it to its place when it is whole."""
        folder = self.programs.folder
        for abandoned in folder.glob("postgres.new-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        # A new name each time: the initdb of a killed run may still be writing to an old one.
        work = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=folder))
        try:
            write_secret(work / "superuser", secrets.token_urlsafe(32))  # not kept: nobody's way in
            self.programs.account.own(work)
            await self.programs.run(
                "initdb",
                *("-D", str(work / "cluster"), "--username=postgres"),
                *(f"--pwfile={work / 'superuser'}", "--auth=scram-sha-256"),
                # Sorted alike on every machine, whatever its C library is or becomes.
                *("--encoding=UTF8", "--no-locale", "--locale-provider=builtin"),
                "--builtin-locale=C.UTF-8",
            )
            # Relay's role owns its database and may make more, for its tests. It is no superuser:
            # those read files and run programs, and as root in a namespace the files are root's.
            await self.programs.run(
                *("postgres", "--single", "-D", str(work / "cluster")),
                *(*_flags(SETTINGS | {"exit_on_error": "on"}), "postgres"),
                stdin=(
                    f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'\n"
                    f"CREATE DATABASE {DATABASE} OWNER {ROLE}\n"
                ).encode(),
            )
            (work / "cluster").rename(self.path)
            _sync(folder)
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
                f"with Relay's earlier version (pg_dump), move the data folder away, start anew "
                "and restore the dump (psql)"
            )

    def launch(self, sockets: Path, log: int, connections: int) -> subprocess.Popen[bytes]:
        """Start the server, reachable through a socket in `sockets` and by nothing else."""
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
        """Whether the server with this process id accepts connections, as `pg_ctl` knows it."""
        try:
            text = (self.path / "postmaster.pid").read_text(errors="replace")
        except FileNotFoundError:
            return False
        lines = text.splitlines()
        # Lines are added as the start goes on: the first is the process id, the eighth the state.
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _flags(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _sync(folder: Path) -> None:
    """Put a folder's list of names on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
