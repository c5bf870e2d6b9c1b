"""One rule for query parameters on every route: those it reads are given once, with a value."""

import pytest

from relay.schema_types import Examples
from tests.support.openapi import operations
from tests.support.problems import check
from tests.support.relay_server import Relay, User, bearer, handshake

# each route with its documented parameters, and a ticket where that is the credential
PARAMETERS = [
    (key, given["name"])
    for key, operation in operations().items()
    for given in operation.get("parameters", ())
    if given["in"] == "query"
] + [("GET /api/sse", "ticket"), ("GET /api/rt", "ticket")]
MAY_REPEAT = ("GET /api/tasks", "task_id")

GOOD = {
    **{"after": "oldest", "last": "1", "limit": "1", "ticket": "t", "lastEventId": "e.1"},
    **{"tasks": "1", "task_id": "t", "parent_id": "t", "q": "x", "hidden": "true"},
    **{"state": "running", "after_cursor": "e.1", "run": "1", "format": "text", "wait_s": "0"},
    **{"by": "title", "title": "x"},
}


def queries(name: str) -> list[str]:
    """The parameter in ways that every route refuses, escaped names and blanks among them."""
    value, escaped = GOOD[name], f"%{ord(name[0]):02x}{name[1:]}"
    return [
        *(f"{name}=", name, f"{escaped}=", f"x=1&{name}=&y=2"),
        *(f"{name}={value}&{name}={value}", f"{name}={value}&x=1&{escaped}={value}"),
        *(f"{name}=&{name}={value}", f"{name}={value}&{name}="),
    ]


async def ask(user: User, call: str, query: str) -> int:
    method, _, path = call.replace("{ask_id}", Examples.TOKEN_ID).partition(" ")
    if path == "/api/rt":
        answer = await handshake(user.relay, f"?{query}", **bearer(user.session))
    else:
        answer = await user.call(method, f"{path}?{query}")
    if answer.status_code >= 400:
        assert check(answer, 400)["code"] == "bad_request"
    return answer.status_code


@pytest.mark.parametrize(("call", "name"), PARAMETERS)
async def test_an_empty_or_doubled_parameter_is_refused(relay: Relay, call: str, name: str) -> None:
    user = await relay.user()
    for query in queries(name):
        twice = f"{name}={GOOD[name]}&{name}={GOOD[name]}"
        allowed = (call, name) == MAY_REPEAT and query == twice
        assert (query, await ask(user, call, query)) == (query, 200 if allowed else 400)


async def test_a_route_ignores_parameters_that_it_does_not_know(relay: Relay) -> None:
    user = await relay.user()
    for query in ("x=", "x=1&x=2", "x", "&&", "=", "Last=", "after[]=", "ticket="):
        assert await ask(user, "GET /api/events", query) == 200
        assert (await relay.http.get(f"/healthz?{query}")).status_code == 200


async def test_an_empty_last_event_id_header_is_not_given(relay: Relay) -> None:
    user = await relay.user()
    await user.publish(2)
    async with user.sse("?after=oldest", headers={"Last-Event-ID": ""}) as stream:
        await stream.hello()
        assert [event["seq"] for event in await stream.events(2)] == [1, 2]
