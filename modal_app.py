"""Relay on Modal: `modal deploy modal_app.py`, with any Postgres that can be reached from there.

Modal's own ASGI runner is asyncio, so each container starts the same `relay serve` as any other
host and Modal forwards to its port. What to prepare, and what to expect, is told in
docs/how-to/deploy-on-modal.md.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import modal

HERE = Path(__file__).parent
PORT = 8000
MAX_INPUTS = 1000  # requests of one container at a time, as many as Modal lets in
STOPS_WITHIN = 20  # seconds; Relay drains for 8, and Modal grants 30

SETTINGS = {
    # Modal ends a request after 150 s: a stream that ends itself first resumes by its cursor
    "RELAY_STREAM_MAX_AGE": "140s",
    # a stream is a request for as long as it is open; a tenth stays free for the others
    "RELAY_MAX_CONNECTIONS": str(MAX_INPUTS * 9 // 10),
    # Modal says whom it forwards for, but not on WebSockets, which thus share one address: its
    # bounds are those of the container, and a container's streams all come back within two minutes
    "RELAY_TRUSTED_PROXIES": "1",
    "RELAY_MAX_CONNECTIONS_PER_ADDRESS": str(MAX_INPUTS * 9 // 10),
    "RELAY_RATE_HANDSHAKES": "2000/min",
}

FILES = ["pyproject.toml", "constraints.txt", "hypercorn.toml", "README.md", "LICENSE"]
FOLDERS = ["sql", "relay"]

image = modal.Image.debian_slim(python_version="3.11")
for name in FILES:
    image = image.add_local_file(HERE / name, f"/src/{name}", copy=True)
for name in FOLDERS:
    image = image.add_local_dir(
        HERE / name, f"/src/{name}", copy=True, ignore=["**/__pycache__", "**/*.pyc"]
    )
image = image.run_commands("pip install -c /src/constraints.txt '/src[server]'")

app = modal.App("relay")


def command(port: int) -> list[str]:
    """How Relay is started: as everywhere."""
    return ["relay", "serve", "--bind", f"0.0.0.0:{port}"]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What Relay is told of Modal; whatever the secret says goes before it."""
    return {**SETTINGS, **given}


@app.cls(
    image=image,
    secrets=[
        modal.Secret.from_name(
            "relay", required_keys=["DATABASE_URL", "RELAY_SIGNING_KEYS", "BASE_URL"]
        )
    ],
    cpu=1.0,  # one process
    memory=1024,  # MiB: a thousand streams, 64 MiB of waiting events, and room
    min_containers=1,  # streams are held open, and a cold start would make them wait
    max_containers=4,  # times RELAY_DATABASE_CONNECTIONS is what the database must have
    timeout=300,  # seconds of one request: above what Modal and Relay let any of them last
)
@modal.concurrent(max_inputs=MAX_INPUTS, target_inputs=MAX_INPUTS * 7 // 10)
class Server:
    """One container: one Relay, from before its first request until after its last."""

    @modal.enter()
    def start(self) -> None:
        self.relay = subprocess.Popen(command(PORT), env=environment(os.environ))

    @modal.web_server(PORT, startup_timeout=60)
    def serve(self) -> None:
        """Nothing to do: Modal waits for the port and forwards to it."""

    @modal.exit()
    def stop(self) -> None:
        """Modal signals this process alone, so Relay is told here; streams hear of it."""
        self.relay.terminate()
        try:
            self.relay.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.relay.kill()
            self.relay.wait()
