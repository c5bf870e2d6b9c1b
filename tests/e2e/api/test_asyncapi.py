"""The AsyncAPI document is complete, and messages on both transports match it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from trio.testing import MockClock

from relay.realtime.close_codes import Close
from relay.realtime.sse import MAX_HEARTBEAT_SECONDS
from relay.realtime.websocket import SUBPROTOCOL
from relay.web.openapi.asyncapi import asyncapi
from tests.support.asyncapi import DOCUMENT, MESSAGES
from tests.support.clock import pass_by
from tests.support.openapi import resolved, validator
from tests.support.relay_server import Relay, running_relay

TRANSPORTS = ("websocket", "sse")


def fits(name: str, message: Any) -> bool:
    return bool(validator(MESSAGES[name]["payload"], DOCUMENT).is_valid(message))


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if "$ref" in value else []
    return own + [found for item in value.values() for found in references(item)]


def test_the_document_is_versioned_and_every_reference_resolves() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    for reference in references(DOCUMENT):
        assert resolved({"$ref": reference}, DOCUMENT)


def test_both_transports_have_an_address_a_server_and_credentials() -> None:
    for transport, address, protocol in (
        ("websocket", "/api/rt", "wss"),
        ("sse", "/api/sse", "https"),
    ):
        channel = DOCUMENT["channels"][transport]
        server = resolved(channel["servers"][0], DOCUMENT)
        assert (channel["address"], server["protocol"]) == (address, protocol)
        assert server["host"] == "relay.example"
        schemes = [resolved(scheme, DOCUMENT) for scheme in server["security"]]
        assert {(scheme["type"], scheme.get("in")) for scheme in schemes} == {
            ("http", None),
            ("httpApiKey", "query"),
            ("httpApiKey", "cookie"),
        }
    assert SUBPROTOCOL in json.dumps(DOCUMENT["channels"]["websocket"]["bindings"])
    assert f"{MAX_HEARTBEAT_SECONDS:.0f} s" in DOCUMENT["channels"]["sse"]["description"]


def test_every_operation_sends_what_its_channel_carries() -> None:
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] == "send"
        channel = resolved(operation["channel"], DOCUMENT)
        sent = [reference["$ref"].rpartition("/")[2] for reference in operation["messages"]]
        assert set(sent) == set(channel["messages"])
    assert set(DOCUMENT["channels"]["websocket"]["messages"]) == set(MESSAGES)
    assert set(DOCUMENT["channels"]["sse"]["messages"]) == set(MESSAGES) - {"ping", "events"}


def test_every_close_code_is_documented_as_in_the_code() -> None:
    documented = {(entry["code"], entry["reason"]) for entry in DOCUMENT["x-close-codes"]}
    assert documented == {(close.code, close.reason) for close in Close} - {(1006, "gone")}


@pytest.mark.parametrize("name", MESSAGES)
def test_examples_fit_their_message_and_nothing_mutilated_does(name: str) -> None:
    for example in MESSAGES[name]["examples"]:
        message = example["payload"]
        assert fits(name, message)
        one = message[0] if name == "events" else message
        for field in one:
            less = {key: value for key, value in one.items() if key != field}
            whole = fits(name, [less] if name == "events" else less)
            assert whole is (field == "task_id" and name != "task_deleted"), field
            if field not in ("payload", "reason"):
                wrong = {**one, field: {"not": "this"}}
                assert not fits(name, [wrong] if name == "events" else wrong), field


def test_every_message_matches_one_schema_only() -> None:
    for name, message in MESSAGES.items():
        for example in message["examples"]:
            fitting = {other for other in MESSAGES if fits(other, example["payload"])}
            assert fitting == {name}


@pytest.fixture
async def lively(database_url: str) -> AsyncIterator[Relay]:
    """A Relay whose streams say everything that a stream may say within an hour."""
    async with running_relay(
        database_url,
        RELAY_HEARTBEAT="1000",
        RELAY_IDLE_TIMEOUT="7200",
        RELAY_STREAM_MAX_AGE="3600",
        RELAY_RETENTION_EVENTS="1",
        RELAY_HOUSEKEEPING_EVERY="0.1",
    ) as relay:
        yield relay


async def heard(stream: Any, last: str) -> dict[str, dict[str, Any]]:
    """The last message of each kind, until one of this kind."""
    found: dict[str, dict[str, Any]] = {}
    while last not in found:
        message = await stream.next()
        found["event" if "event_type" in message else message["type"]] = message
    return found


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_messages_of_a_running_relay_match_their_schemas(
    lively: Relay, transport: str, clock: MockClock
) -> None:
    user = await lively.user()
    first = (await user.posted(payload={"title": "first"}))["cursor"]
    await user.publish(3)
    oldest = 1
    while oldest < 4:  # until all but the last are trimmed, within the test's own patience
        oldest = (await user.call("GET", "/api/events")).json()["oldest"]
    offered = {"subprotocols": [SUBPROTOCOL]} if transport == "websocket" else {}
    known = first.rpartition(".")[0] + ".1"
    open_transport = user.websocket if transport == "websocket" else user.sse
    async with open_transport(f"?after={known}", **offered) as stream:
        await user.posted(task_id="t", payload=[None])
        found = await heard(stream, "event")
        await pass_by(clock, 1000)
        if transport == "websocket":
            found |= await heard(stream, "ping")
        await pass_by(clock, 2600)
        found |= await heard(stream, "close")
    expected = {"hello", "gap", "event", "close"} | (
        {"ping"} if transport == "websocket" else set()
    )
    assert set(found) == expected
    for name, message in found.items():
        validator(MESSAGES[name]["payload"], DOCUMENT).validate(message)


async def test_the_document_needs_no_credential(relay: Relay) -> None:
    answer = await relay.http.get("/asyncapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == json.loads(json.dumps(asyncapi(relay.url)))
    known = {"If-None-Match": answer.headers["ETag"]}
    assert (await relay.http.get("/asyncapi.json", headers=known)).status_code == 304
