"""The producer of `relay serve --demo`. It uses Relay's public HTTP API, like any other client."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import trio

PAUSE_SECONDS = 0.7  # between two events, on average: slow enough to read
DAY_SECONDS = 86_400

PrintLine = Callable[[str], None]
Step = tuple[str, dict[str, Any]]


async def play_demo(base_url: str, print_line: PrintLine) -> None:
    """Create a user, print how to watch it, and publish events until cancelled."""
    async with httpx.AsyncClient(base_url=base_url, timeout=10) as client:
        session = (await _post(client, "/api/user"))["session_token"]
        headers = {"Authorization": f"Bearer {session}"}
        watch, publish = [
            (await _post(client, "/api/token", headers, scopes=[scope], expires_in=DAY_SECONDS))[
                "token"
            ]
            for scope in ("watch", "publish")
        ]
        for line in (
            "",
            f"  Open {base_url} in a browser ({base_url}/?demo plays a demo there),",
            "  or watch the stream of this demo here:",
            "",
            f"    curl -N -H 'Authorization: Bearer {watch}' '{base_url}/api/sse?last=20'",
            "",
            "  Ctrl-C stops.",
            "",
        ):
            print_line(line)
        headers = {"Authorization": f"Bearer {publish}"}
        for number in count(1):
            task_id = f"demo-{number}"
            for event_type, payload in _training_run(number):
                await _post(
                    client,
                    "/api/webhook/cli",
                    headers,
                    event_type=event_type,
                    ts=datetime.now(UTC).isoformat(),
                    task_id=task_id,
                    payload=payload,
                )
                await trio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))


async def _post(
    client: httpx.AsyncClient, path: str, headers: dict[str, str] | None = None, **body: Any
) -> dict[str, Any]:
    """POST, and retry while Relay is away or busy, such as during a restart of its database."""
    while True:
        try:
            response = await client.post(path, headers=headers, json=body or None)
        except httpx.TransportError:
            await trio.sleep(1)
            continue
        if response.status_code not in (429, 503):
            response.raise_for_status()
            answer: dict[str, Any] = response.json()
            return answer
        await trio.sleep(float(response.headers.get("Retry-After", "1")))


def _training_run(number: int) -> Iterator[Step]:
    """The events of a training run: epochs with a falling loss. Every fourth run fails."""
    epochs = random.randint(6, 12)
    fails_at = random.randint(2, epochs - 1) if number % 4 == 0 else None
    loss = 2.4
    yield "task_started", {"title": f"train model #{number}"}
    for epoch in range(1, epochs + 1):
        loss *= random.uniform(0.72, 0.95)
        line = f"epoch {epoch}/{epochs}  loss {loss:.4f}"
        yield "log", {"level": "info", "message": line}
        if epoch == fails_at:
            yield "log", {"level": "error", "message": "loss is NaN after a bad batch"}
            yield (
                "task_failed",
                {"exit_code": 1, "message": "diverged", "duration_s": epoch * PAUSE_SECONDS},
            )
            return
        yield "task_progress", {"progress": round(epoch / epochs, 2), "message": line}
    yield "task_succeeded", {"exit_code": 0, "message": f"loss {loss:.4f}", "duration_s": epochs}
