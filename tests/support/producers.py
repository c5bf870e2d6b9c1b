"""Clients that publish to a stand-in, in this process and in one of their own."""

import subprocess
import sys
from pathlib import Path

from relay.client import Client
from relay.client.spool import spool_folder
from tests.support.patience import PATIENCE
from tests.support.stand_in import TOKEN, StandIn

# In a program of its own: nothing is given up because the machine is slow.
PATIENTLY = "from relay.client import Client; Client.close.__defaults__ = (3600.0,)\n"


def client(server: StandIn | str, notes: list[str] | None = None, strict: bool = False) -> Client:
    url = server if isinstance(server, str) else server.url
    return Client(url, TOKEN, strict=strict, tell=(notes if notes is not None else []).append)


def run(code: str, server: StandIn) -> "subprocess.CompletedProcess[bytes]":
    """A program of its own, to its end."""
    command = [sys.executable, "-c", code, server.url]
    return subprocess.run(command, timeout=PATIENCE, check=False, capture_output=True)


def spools() -> list[Path]:
    return sorted(spool_folder().glob("*")) if spool_folder().exists() else []
