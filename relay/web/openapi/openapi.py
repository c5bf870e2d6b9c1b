"""The OpenAPI 3.1 document: quart-schema walks the URL map, each route's description fills it in.

The problems of a route's credential, body and rate limit are added from `rules`, so a route
declares only its own.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from quart_schema.openapi import OpenAPIProvider
from werkzeug.routing.rules import Rule

from relay.errors import Problem, ProblemDocument
from relay.ingest.ndjson import MAX_BATCH_EVENTS
from relay.media_types import EVENT_STREAM, JSON, NDJSON, PROBLEM
from relay.schema_types import Examples
from relay.web.openapi.curl import curl
from relay.web.openapi.describe import (
    DeclaredAnswer,
    Description,
    EventStreamAnswer,
    ExampleModels,
    Link,
    Parameter,
    Text,
)
from relay.web.openapi.headers import HEADERS, RATE_LIMIT, REQUEST_ID, header_object, header_refs
from relay.web.openapi.rules import COMMON_PROBLEMS, SECURITY, Operation
from relay.web.openapi.schemas import Schemas, json_of, paragraphs

TITLE = "Relay"
DESCRIPTION = """\
Durable, private event streams: webhooks in, WebSocket and SSE out.

Every error is a problem document (RFC 9457); compare its `code`. Every answer has an
`X-Request-ID`. A query parameter that is given twice or without a value is refused (400). Unknown
ones are ignored; calls that filter or forget (tasks, their groups and log, asks) refuse them.
`/asyncapi.json` describes the messages of the WebSocket and SSE streams."""

TAGS = {
    "users": "Users, their sessions, and links that sign in another device.",
    "tokens": "Hook tokens, with which producers publish.",
    "tasks": "The state of tasks, which follows from their events.",
    "asks": "Questions of programs, which a person answers.",
    "channels": "How notifications reach a person beside the page.",
    "events": "Publish events, one by one or in batches.",
    "streams": "Read events: live over WebSocket or SSE, or page by page.",
    "operations": "Health checks and metrics.",
    "reference": "This reference, as JSON and as a page.",
    "page": "The live page and its files.",
}


class RouteProvider(OpenAPIProvider):
    """quart-schema's provider, which reads the routes' descriptions."""

    def schema(self) -> dict[str, Any]:
        self._schemas = Schemas()
        document = super().schema()
        document["info"] |= {
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        }
        document["servers"] = [{"url": "/"}]
        document["tags"] = [
            {"name": name, "description": description} for name, description in TAGS.items()
        ]
        common = {kind.__name__: self._refusal(kind.status, [kind]) for kind in COMMON_PROBLEMS}
        document["components"] = {
            "schemas": dict(sorted(self._schemas.components.items())),
            "responses": common,
            "securitySchemes": SECURITY,
            "headers": {name: header_object(name) for name in HEADERS},
        }
        document["paths"] = dict(document["paths"])
        return document

    def generate_rules(self) -> Iterable[Rule]:
        """All rules, WebSockets included, in the order of `TAGS`."""
        order = list(TAGS)
        return sorted(
            self._app.url_map.iter_rules(),
            key=lambda rule: order.index(self._handler(rule).described.tag),
        )

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        paths, _ = super().build_paths(rule)
        for path, item in paths.items():
            for method, operation in item.items():
                self._fill(operation, Operation(method.upper(), path, self._handler(rule)))
        return paths, {}

    def _handler(self, rule: Rule) -> Any:
        return self._app.view_functions[rule.endpoint]

    def _fill(self, operation: dict[str, Any], call: Operation) -> None:
        described = call.described
        operation["operationId"] = call.handler.__name__
        operation["tags"] = [described.tag]
        operation["summary"] = operation["summary"].removesuffix(".")
        operation["description"] = paragraphs(operation.get("description", ""))
        if not operation["description"]:
            del operation["description"]
        operation["security"] = [{name: []} if name else {} for name in call.accepts]
        operation["parameters"] = [self._parameter(given) for given in call.parameters]
        if not operation["parameters"]:
            del operation["parameters"]
        if described.body:
            operation["requestBody"] = self._body(described)
        operation["responses"] = {
            **{
                str(status): self._answer(call, status, answer)
                for status, answer in described.answers.items()
            },
            **self._problems(call),
        }
        if described.links:
            first = operation["responses"][str(next(iter(described.answers)))]
            first["links"] = {link.to: _link(link) for link in described.links}
        if 101 not in described.answers:  # a WebSocket, which curl cannot open
            operation["x-codeSamples"] = [{"lang": "Shell", "label": "curl", "source": curl(call)}]

    def _parameter(self, given: Parameter) -> dict[str, Any]:
        parameter = {
            "name": given.name,
            "in": given.where,
            "description": given.description,
            "schema": self._schemas.of(given.type),
        }
        if given.example is not None:
            parameter["example"] = given.example
        required = given.required or given.where == "path"
        return {**parameter, "required": True} if required else parameter

    def _body(self, described: Description) -> dict[str, Any]:
        return {
            "required": not described.body_optional,
            "content": {
                media_type: self._content(media_type, examples)
                for media_type, examples in described.body.items()
            },
        }

    def _content(self, media_type: str, examples: ExampleModels) -> dict[str, Any]:
        several = examples if isinstance(examples, tuple) else (examples,)
        schema = self._schemas.any_of(type(example) for example in several)
        if media_type == NDJSON:
            lines = {"type": "array", "items": schema, "minItems": 1, "maxItems": MAX_BATCH_EVENTS}
            lines["description"] = (
                "In the body these are lines, one JSON object each, not an array."
            )
            return {"schema": lines, "example": [json_of(example) for example in several]}
        return {"schema": schema, **_examples(several)}

    def _answer(self, call: Operation, status: int, answer: DeclaredAnswer) -> dict[str, Any]:
        own = call.described.headers.get(status, ())
        headers = header_refs(REQUEST_ID, *own, *(RATE_LIMIT if call.limited else ()))
        if isinstance(answer, Text):
            response = {"description": answer.description, "headers": headers}
            if answer.media_types:
                example = {} if answer.example is None else {"example": answer.example}
                response["content"] = {
                    name: {"schema": _text(name), **example} for name in answer.media_types
                }
            return response
        if isinstance(answer, EventStreamAnswer):
            content = self._content(EVENT_STREAM, answer.one)
            return {
                "description": answer.description,
                "headers": headers,
                "content": {EVENT_STREAM: content},
            }
        several = answer if isinstance(answer, tuple) else (answer,)
        return {
            "description": " Or: ".join(_summary(type(example)) for example in several),
            "headers": headers,
            "content": {JSON: self._content(JSON, answer)},
        }

    def _problems(self, call: Operation) -> dict[str, Any]:
        by_status: dict[int, list[type[Problem]]] = {}
        for kind in call.refuses:
            by_status.setdefault(kind.status, []).append(kind)
        return {
            str(status): (
                {"$ref": f"#/components/responses/{kinds[0].__name__}"}
                if len(kinds) == 1 and kinds[0] in COMMON_PROBLEMS
                else self._refusal(status, kinds, call)
            )
            for status, kinds in by_status.items()
        }

    def _refusal(
        self, status: int, kinds: Sequence[type[Problem]], call: Operation | None = None
    ) -> dict[str, Any]:
        shape = {
            "status": {"type": "integer", "enum": [status]},
            "code": {"type": "string", "enum": [kind.sent_code() for kind in kinds]},
        }
        names = [REQUEST_ID]
        if status in (401, 403):
            names.append("WWW-Authenticate")
        if status in (429, 503):
            names.append("Retry-After")
        if status == 429 and call is not None and call.limited:
            names.extend(RATE_LIMIT)
        return {
            "description": "\n".join(f"- `{kind.sent_code()}`: {kind.hint}" for kind in kinds),
            "headers": header_refs(*names),
            "content": {
                PROBLEM: {
                    "schema": {
                        "allOf": [
                            self._schemas.of(ProblemDocument),
                            {"type": "object", "properties": shape},
                        ]
                    },
                    "examples": {
                        kind.sent_code(): {"value": problem_example(kind)} for kind in kinds
                    },
                }
            },
        }


def problem_example(kind: type[Problem]) -> Any:
    """The problem's document with its default detail."""
    return json_of(
        ProblemDocument(
            type=f"urn:relay:problem:{kind.code}",
            title=kind.title,
            status=kind.status,
            detail=kind.hint,
            code=kind.sent_code(),
            request_id=Examples.REQUEST,
        )
    )


def _text(media_type: str) -> dict[str, Any]:
    return {"type": "object" if media_type == JSON else "string"}


def _link(link: Link) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": link.to}
    if link.parameters:
        made["parameters"] = {name: _field(where) for name, where in link.parameters.items()}
    if link.body:
        made["requestBody"] = {name: _field(where) for name, where in link.body.items()}
    return made


def _field(name: str) -> str:
    return f"$response.body#/{name}"


def _examples(examples: Sequence[msgspec.Struct]) -> dict[str, Any]:
    if len(examples) == 1:
        return {"example": json_of(examples[0])}
    return {
        "examples": {
            f"{type(example).__name__}{number}": {"value": json_of(example)}
            for number, example in enumerate(examples, 1)
        }
    }


def _summary(model: type) -> str:
    return paragraphs(model.__doc__ or HTTPStatus.OK.phrase)
