"""Asks as a program and a person make them, in the test's own loop."""

from typing import Any

import httpx

from tests.support.relay_server import User, bearer

CHOICE: dict[str, Any] = {
    **{"question": "Deploy build 17?", "kind": "choice", "options": ["yes", "no"]},
    **{"expires_in": 3_600, "details": {"commit": "59677f0"}},
}
TEXT: dict[str, Any] = {"question": "Which name?", "kind": "text", "expires_in": 3_600}


async def asked(user: User, **fields: Any) -> dict[str, Any]:
    answer = await post(user, CHOICE | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def post(user: User, body: dict[str, Any]) -> httpx.Response:
    return await user.relay.http.post("/api/asks", json=body, headers=bearer(await user.hook()))


async def read(user: User, ask_id: str, query: str = "", *, token: str = "") -> dict[str, Any]:
    answer = await user.relay.http.get(
        f"/api/asks/{ask_id}{query}", headers=bearer(token or await user.hook())
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def answered(user: User, ask_id: str, answer: str, **fields: Any) -> httpx.Response:
    shown = await read(user, ask_id, token=user.session)
    body = {"answer": answer, "question_hash": shown["question_hash"], **fields}
    return await user.call("POST", f"/api/asks/{ask_id}/answer", json=body)


async def notes(user: User) -> list[dict[str, Any]]:
    page = (await user.call("GET", "/api/events")).json()
    return [event for event in page["events"] if event["event_type"] != "log"]
