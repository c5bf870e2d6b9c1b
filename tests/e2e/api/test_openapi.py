"""The OpenAPI document is valid and complete, and its examples match their schemas."""

from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from relay.app import create_app
from relay.config.settings import Settings
from relay.media_types import PROBLEM
from relay.web.needs import Need
from relay.web.openapi.describe import Description
from relay.web.openapi.rules import SECURITY
from tests.support.openapi import document, operations, resolved, validator
from tests.support.problems import PROBLEMS
from tests.support.relay_server import Relay

APP = create_app(Settings())
RULES = list(APP.url_map.iter_rules())
OPERATIONS = operations()
# parameters that exclude another one, which has the example
CONTRADICT = ("DELETE /api/tasks state",)


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(document()).iter_errors()) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule)
def test_every_route_declares_its_credential_its_models_and_its_refusals(rule: Any) -> None:
    handler: Any = APP.view_functions[rule.endpoint]
    assert isinstance(handler.need, Need)
    assert set(handler.need.accepts) <= set(SECURITY)
    assert isinstance(handler.described, Description)
    assert handler.described.answers
    assert handler.__doc__
    for method in rule.methods - {"HEAD", "OPTIONS"}:
        path = rule.rule.replace("<", "{").replace(">", "}")
        assert f"{method} {path}" in OPERATIONS


def contents() -> list[tuple[str, dict[str, Any]]]:
    """Everything with a schema and examples, under a name that finds it."""
    found: list[tuple[str, dict[str, Any]]] = []
    for key, operation in OPERATIONS.items():
        found += [(f"{key} {given['name']}", given) for given in operation.get("parameters", ())]
        bodies = {"body": operation.get("requestBody", {}), **operation["responses"]}
        found += [
            (f"{key} {where} {media_type}", content)
            for where, body in bodies.items()
            for media_type, content in resolved(body).get("content", {}).items()
        ]
    headers = document()["components"]["headers"]
    return [*found, *((f"header {name}", header) for name, header in headers.items())]


@pytest.mark.parametrize(("name", "content"), contents(), ids=[name for name, _ in contents()])
def test_every_example_is_of_its_schema(name: str, content: dict[str, Any]) -> None:
    values = [entry["value"] for entry in content.get("examples", {}).values()]
    if "example" in content:
        values.append(content["example"])
    plain = content["schema"] in ({"type": "string"}, {"type": "object"})
    assert values or plain or name in CONTRADICT or name.endswith(" last"), (
        "an example says more than a schema"
    )
    for value in values:
        validator(content["schema"]).validate(value)


def test_every_refusal_is_a_problem_document_with_a_known_code_of_that_status() -> None:
    problems = {kind.sent_code(): kind for kind in PROBLEMS.values()}
    named: set[str] = set()
    for operation in OPERATIONS.values():
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            (content,) = resolved(response)["content"].items()
            assert content[0] == PROBLEM
            codes = content[1]["schema"]["allOf"][1]["properties"]["code"]["enum"]
            assert {problems[code].status for code in codes} == {int(status)}
            named.update(codes)
    nowhere = set(problems) - named
    assert nowhere == {"method_not_allowed"}  # of what is no operation


@pytest.mark.parametrize("key", OPERATIONS)
def test_what_refuses_a_signature_takes_its_headers(key: str) -> None:
    answer = resolved(OPERATIONS[key]["responses"].get("401", {}))
    content = answer.get("content", {}).get(PROBLEM, {"examples": {}})
    headers = {it["name"] for it in OPERATIONS[key].get("parameters", ()) if it["in"] == "header"}
    signature = {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert headers & signature == (signature if "bad_signature" in content["examples"] else set())


def test_each_constant_and_enumeration_has_its_type() -> None:
    """Generators of clients need it to merge a narrowed problem with the general one."""

    def schemas(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            yield node
            for name, inner in node.items():
                if name not in ("example", "examples"):
                    yield from schemas(inner)
        elif isinstance(node, list):
            for inner in node:
                yield from schemas(inner)

    narrowed = [one for one in schemas(document()) if {"const", "enum"} & one.keys()]
    assert narrowed
    assert [one for one in narrowed if "type" not in one] == []


def test_every_credential_is_a_scheme_and_every_scheme_is_used() -> None:
    used = {
        name
        for operation in OPERATIONS.values()
        for either in operation["security"]
        for name in either
    }
    assert used == set(SECURITY)


async def test_the_document_needs_no_credential_and_is_cached(relay: Relay) -> None:
    answer = await relay.http.get("/openapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == document()
    known = {"If-None-Match": answer.headers["ETag"]}
    assert (await relay.http.get("/openapi.json", headers=known)).status_code == 304
