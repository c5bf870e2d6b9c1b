"""Signed requests on a running server, made by Standard Webhooks' own library."""

import json
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.support.relay_server import Relay, User, bearer
from tests.support.webhook_signatures import signed_headers

BODY = json.dumps({"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {"ü": 1}})
LINES = "".join(
    json.dumps({"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": n}) + "\n"
    for n in range(3)
)


class Producer:
    """Holds a token that signs, and the secret that came with it."""

    def __init__(self, user: User, made: dict[str, Any]) -> None:
        self.user = user
        self.token = made["token"]
        self.webhook = Webhook(made["signing_secret"])

    def sign(
        self, message_id: str = "msg_1", body: str = BODY, *, age: float = 0, by: Any = None
    ) -> dict[str, str]:
        """The three headers; `by` another secret than its own."""
        return signed_headers(by or self.webhook, message_id, body, age=age)

    async def send(
        self, headers: dict[str, str], body: str = BODY, kind: str = "application/json"
    ) -> httpx.Response:
        return await self.user.relay.http.post(
            "/api/webhook/cli",
            content=body.encode(),
            headers={**bearer(self.token), "Content-Type": kind, **headers},
        )

    async def stored(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = (await self.user.call("GET", "/api/events")).json()["events"]
        return events


@pytest.fixture
async def producer(relay: Relay) -> Producer:
    user = await relay.user()
    return Producer(user, await user.token(signed=True))


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.json()["code"] == "bad_signature"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_message_signed_by_the_library_is_stored_under_its_id(producer: Producer) -> None:
    answer = await producer.send(producer.sign("msg_1"))
    assert (answer.status_code, answer.json()["id"]) == (200, "msg_1")
    named = BODY.replace("{", '{"event_id": "mine", ', 1)
    answer = await producer.send(producer.sign("msg_2", named), named)
    assert (answer.status_code, answer.json()["id"]) == (200, "mine")
    assert [event["id"] for event in await producer.stored()] == ["msg_1", "mine"]


async def test_a_token_revokes_itself_by_a_signed_request_alone(producer: Producer) -> None:
    async def revoke(headers: dict[str, str]) -> httpx.Response:
        return await producer.user.relay.http.post(
            "/api/token/revoke", headers={**bearer(producer.token), **headers}
        )

    assert_refused(await revoke({}))
    assert (await producer.send(producer.sign())).status_code == 200  # it is still alive
    assert (await revoke(producer.sign("msg_2", ""))).status_code == 200
    assert (await producer.send(producer.sign("msg_3"))).json()["code"] == "invalid_token"


async def test_a_tampered_message_is_refused(producer: Producer) -> None:
    signed = producer.sign()
    for changed in (BODY + " ", BODY.replace("1}", "2}"), BODY.replace(" ", ""), ""):
        assert_refused(await producer.send(signed, changed))
    for change in (
        {"webhook-id": "msg_2"},
        {"webhook-id": "msg_1.", "webhook-timestamp": signed["webhook-timestamp"][1:]},
        {"webhook-timestamp": str(int(signed["webhook-timestamp"]) - 1)},
        {"webhook-signature": signed["webhook-signature"].swapcase()},
        {"webhook-signature": signed["webhook-signature"][:-2]},
    ):
        assert_refused(await producer.send({**signed, **change}))
    for lacking in signed:
        assert_refused(await producer.send({k: v for k, v in signed.items() if k != lacking}))
    assert_refused(await producer.send({}))
    assert await producer.stored() == []
    assert (await producer.send(signed)).status_code == 200


async def test_a_signature_is_valid_for_five_minutes_either_way(producer: Producer) -> None:
    # to the second it is shown where the clock is given: tests/unit/auth/test_webhook_signatures.py
    for age, status in ((100, 200), (-100, 200), (86_400, 401), (-86_400, 401)):
        answer = await producer.send(producer.sign(f"msg_{age}", age=age))
        assert (age, answer.status_code) == (age, status)
    assert len(await producer.stored()) == 2


async def test_a_replayed_request_is_the_same_event(producer: Producer) -> None:
    signed = producer.sign()
    first, again = await producer.send(signed), await producer.send(signed)
    assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
    batch = producer.sign("msg_2", LINES)
    kind = "application/x-ndjson"
    answers = [(await producer.send(batch, LINES, kind)).json() for _ in range(2)]
    assert [(answer["accepted"], answer["duplicates"]) for answer in answers] == [(3, 0), (0, 3)]
    other = await producer.send(producer.sign("msg_3", LINES), LINES, kind)
    assert other.json()["accepted"] == 3  # another message, though it says the same
    assert len(await producer.stored()) == 7


async def test_a_batch_is_signed_as_a_whole(producer: Producer) -> None:
    signed = producer.sign("msg_1", LINES)
    kind = "application/x-ndjson"
    shuffled = "".join(reversed(LINES.splitlines(keepends=True)))
    for changed in (shuffled, LINES + LINES, LINES[: LINES.index("\n")]):
        assert_refused(await producer.send(signed, changed, kind))
    assert (await producer.send(signed, LINES, kind)).json()["accepted"] == 3


async def test_a_secret_signs_for_its_own_user_only(relay: Relay, producer: Producer) -> None:
    user = await relay.user()
    for made in (await producer.user.token(signed=True), await user.token(signed=True)):
        assert_refused(await producer.send(producer.sign(by=Webhook(made["signing_secret"]))))
    assert_refused(await producer.send(producer.sign(by=Webhook("whsec_" + "A" * 32))))


ASK = json.dumps({"question": "Go on?", "kind": "text", "expires_in": 600})
BEAT = json.dumps({"task_ids": ["build-7"]})


async def test_asks_and_beats_are_signed_like_events(producer: Producer) -> None:
    relay = producer.user.relay

    async def send(method: str, path: str, body: str, **headers: str) -> httpx.Response:
        sent = {**bearer(producer.token), "Content-Type": "application/json", **headers}
        return await relay.http.request(method, path, content=body.encode(), headers=sent)

    async def asks() -> list[str]:
        answer = await producer.user.call("GET", "/api/asks")
        return [ask["ask_id"] for ask in answer.json()["asks"]]

    for path, body in (("/api/asks", ASK), ("/api/tasks/beat", BEAT)):
        assert_refused(await send("POST", path, body))
        assert_refused(await send("POST", path, body + " ", **producer.sign("msg_1", body)))
    assert await asks() == []
    assert (await send("POST", "/api/tasks/beat", BEAT, **producer.sign("b", BEAT))).is_success
    signed = producer.sign("msg_1", ASK)
    first, again = [await send("POST", "/api/asks", ASK, **signed) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 200)  # the same message, the same ask
    ask_id = first.json()["ask_id"]
    assert await asks() == [again.json()["ask_id"]] == [ask_id]
    assert_refused(await send("DELETE", f"/api/asks/{ask_id}", ""))
    assert await asks() == [ask_id]
    await send("DELETE", f"/api/asks/{ask_id}", "", **producer.sign("msg_2", ""))
    assert await asks() == []


async def test_one_good_signature_of_several_is_enough(producer: Producer) -> None:
    """While a secret is changed a producer signs by the old and the new one."""
    good = producer.sign()
    old = producer.sign(by=Webhook("whsec_" + "A" * 32))["webhook-signature"]
    mine = good["webhook-signature"]
    for given, status in (
        (f"{old} {mine}", 200),
        (f"{mine} {old}", 200),
        (f"v1a,{mine[3:]} v2,{mine[3:]} {mine}", 200),
        (f"{old} {old}", 401),
        (f"v2,{mine[3:]}", 401),
        (f"v1a,{mine[3:]}", 401),
        (f"{old},{mine}", 401),
    ):
        answer = await producer.send({**good, "webhook-signature": given})
        assert (given, answer.status_code) == (given, status)


async def test_a_signature_is_no_bearer_and_a_bearer_no_signature(
    relay: Relay, producer: Producer
) -> None:
    answer = await relay.http.post(
        "/api/webhook/cli",
        content=BODY,
        headers={"Content-Type": "application/json", **producer.sign()},
    )
    assert answer.json()["code"] == "unauthorized"
    plain = await producer.user.hook()  # a token that does not sign takes no notice of it
    answer = await relay.http.post(
        "/api/webhook/cli",
        content=BODY,
        headers={
            **bearer(plain),
            "Content-Type": "application/json",
            **producer.sign(by=Webhook("whsec_" + "A" * 32)),
        },
    )
    assert answer.status_code == 200
    assert answer.json()["id"] != "msg_1"


async def test_the_library_verifies_what_the_server_accepts(producer: Producer) -> None:
    """The other way round: their verifier agrees with what ours has just accepted."""
    signed = producer.sign()
    assert (await producer.send(signed)).status_code == 200
    assert producer.webhook.verify(BODY, signed) == json.loads(BODY)
