"""The producer of `relay serve --demo`. It uses Relay's public HTTP API, like any other client."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import msgspec
import structlog
import trio

from relay.client.retry_pauses import pause_before

PAUSE_SECONDS = 0.7  # between two events, on average: slow enough to read
DAY_SECONDS = 86_400  # then another user follows: a token that stands in a terminal ends soon
SPARE_SECONDS = 3_600  # that a token lives longer, for a request that has to be repeated

PrintLine = Callable[[str], None]
Step = tuple[str, dict[str, Any]]

log = structlog.get_logger("relay.serve")


class DemoRefused(Exception):
    """A request of the demo was refused, or something else than Relay answered it."""


async def play_demo(base_url: str, print_line: PrintLine) -> None:
    """Publish events until cancelled, as a new user each day, and print how to watch them.

    A refusal ends the demo, and not the server that it plays beside.
    """
    try:
        while True:
            # a client each, for its cookies: with a session, Relay creates no user
            async with httpx.AsyncClient(base_url=base_url, timeout=10) as client:
                await _play_a_day(client, base_url, print_line)
    except DemoRefused as error:
        log.warning("demo_ended", why=str(error))


async def _play_a_day(client: httpx.AsyncClient, base_url: str, print_line: PrintLine) -> None:
    until = time.time() + DAY_SECONDS  # tokens age while the machine sleeps, too
    session = await _post(client, "/api/user", "session_token")
    watch, publish = [
        await _post(
            client,
            "/api/token",
            "token",
            session,
            scopes=[scope],
            expires_in=DAY_SECONDS + SPARE_SECONDS,
        )
        for scope in ("watch", "publish")
    ]
    with suppress(OSError):  # the terminal may have been closed
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
    for number in count(1):
        for event_type, payload in _training_run(number):
            await _post(
                client,
                "/api/webhook/cli",
                "id",
                publish,
                event_type=event_type,
                ts=datetime.now(UTC).isoformat(),
                task_id=f"demo-{number}",
                payload=payload,
            )
            await trio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))
            if time.time() >= until:
                return


async def _post(
    client: httpx.AsyncClient, path: str, wanted: str, token: str | None = None, **body: Any
) -> str:
    """POST, and return the `wanted` field of Relay's answer. Raises DemoRefused.

    It is tried again while Relay is away or busy, such as during a restart of its database.
    """
    headers = None if token is None else {"Authorization": f"Bearer {token}"}
    attempt = 0
    while True:
        with suppress(httpx.RequestError):
            answer = await client.post(path, headers=headers, json=body or None)
            if answer.status_code != 429 and answer.status_code < 500:
                return _field(answer, wanted)
        await trio.sleep(pause_before(attempt))
        attempt += 1


def _field(answer: httpx.Response, wanted: str) -> str:
    try:
        found = msgspec.json.decode(answer.content, type=dict[str, Any])[wanted]
    except (msgspec.DecodeError, KeyError):
        found = None
    if not answer.is_success or not isinstance(found, str):
        raise DemoRefused(f"{answer.request.url} answered {answer.status_code}")
    return found


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
