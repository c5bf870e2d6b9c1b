"""Relay on Modal: `modal deploy modal_app.py`, with any Postgres that can be reached from there.

Modal's own ASGI runner is asyncio, so the container starts the same `relay serve` as any other
host and Modal forwards to its port. A secret named `relay` holds DATABASE_URL,
RELAY_SIGNING_KEYS and BASE_URL (the address that the first deploy prints).
"""

import os
import subprocess
from pathlib import Path

import modal

PORT = 8000
HERE = Path(__file__).parent

image = (
    modal.Image.debian_slim(python_version="3.11")
    .add_local_dir(
        HERE,
        "/src",
        copy=True,
        ignore=[".git", ".venv", ".relay", "**/__pycache__", "tests", "docs", "bench"],
    )
    .run_commands("pip install -c /src/constraints.txt '/src[server]'")
)

app = modal.App("relay")


@app.function(
    image=image,
    secrets=[
        modal.Secret.from_name(
            "relay", required_keys=["DATABASE_URL", "RELAY_SIGNING_KEYS", "BASE_URL"]
        )
    ],
    min_containers=1,  # streams are held open, and a cold start would make them wait
    max_containers=1,  # one process holds thousands of streams; its bounds count for one process
    timeout=24 * 60 * 60,
)
@modal.concurrent(max_inputs=1000)  # a stream is an input for as long as it is open
@modal.web_server(PORT, startup_timeout=60)
def serve() -> None:
    """Start Relay and return: Modal waits for the port, then forwards to it."""
    # Modal ends a request after 150 s: a stream that ends itself first resumes by its cursor
    environ = {"RELAY_STREAM_MAX_AGE": "140s", **os.environ}
    subprocess.Popen(["relay", "serve", "--bind", f"0.0.0.0:{PORT}"], env=environ)
