"""Posts of a body to the ingestion route, and the fields that a refusal names."""

from typing import Any

import httpx

from tests.support.relay_server import User, bearer


async def send(user: User, body: Any, **headers: str) -> httpx.Response:
    given = {"Content-Type": "application/json", **bearer(await user.hook()), **headers}
    return await user.relay.http.post("/api/webhook/cli", content=body, headers=given)


async def named(user: User, body: bytes) -> list[str]:
    """The fields that a refusal names."""
    answer = await send(user, body)
    assert answer.status_code == 422, answer.text
    return sorted(error["where"] for error in answer.json()["errors"])
