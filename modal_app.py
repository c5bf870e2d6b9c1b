"""Deploy Relay on Modal: `modal deploy modal_app.py`, with a Postgres that Modal can reach.

Modal's own ASGI runner uses asyncio, so each container starts `relay serve` as on any other host,
and Modal forwards requests to its port. See docs/how-to/deploy-on-modal.md for what to prepare.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import modal

HERE = Path(__file__).parent
PORT = 8000
MAX_INPUTS = 1000  # requests of one container at a time: Modal's maximum
STOP_TIMEOUT_SECONDS = 20  # seconds; Relay drains for 8, and Modal allows 30

SETTINGS = {
    # Modal ends a request after 150 s; a stream that ends before resumes by its cursor
    "RELAY_STREAM_MAX_AGE": "140s",
    # each open stream is a request; a tenth is reserved for other requests
    "RELAY_MAX_CONNECTIONS": str(MAX_INPUTS * 9 // 10),
    # Modal sends X-Forwarded-For, but not for WebSockets. These share one address, so its limits
    # are the container's, and allow all its streams to reconnect within two minutes.
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
    """The command that starts Relay."""
    return ["relay", "serve", "--bind", f"0.0.0.0:{port}"]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Relay's environment: `SETTINGS`, overridden by the secret's variables."""
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
    max_containers=4,  # the database needs RELAY_DATABASE_CONNECTIONS for each
    timeout=300,  # seconds of one request: above Modal's and Relay's own limits
)
@modal.concurrent(max_inputs=MAX_INPUTS, target_inputs=MAX_INPUTS * 7 // 10)
class Server:
    """One container, which runs one Relay."""

    @modal.enter()
    def start(self) -> None:
        self.relay = subprocess.Popen(command(PORT), env=environment(os.environ))

    @modal.web_server(PORT, startup_timeout=60)
    def serve(self) -> None:
        """Modal waits for the port, and forwards requests to it."""

    @modal.exit()
    def stop(self) -> None:
        """Stop Relay, which ends its streams. Modal signals only this process."""
        self.relay.terminate()
        try:
            self.relay.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.relay.kill()
            self.relay.wait()
