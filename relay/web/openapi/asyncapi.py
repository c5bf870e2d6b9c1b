"""The AsyncAPI 3.0 document: a stream's two transports, from the code's constants and models."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from relay import __version__
from relay.ingest.envelope import MAX_PAYLOAD_BYTES
from relay.media_types import JSON
from relay.realtime import sse, websocket
from relay.realtime.close_codes import Close
from relay.realtime.encoding import MAX_MESSAGE_BYTES, SSE_HEARTBEAT, SSE_RETRY
from relay.web.openapi import stream_messages, stream_parameters
from relay.web.openapi.describe import Parameter
from relay.web.openapi.rules import SECURITY
from relay.web.openapi.schemas import Schemas, json_of, paragraphs

DESCRIPTION = f"""\
Each user has one private stream, over WebSocket or server-sent events. Both send the same events in
the same order with the same cursors, so a client may switch between them and `GET /api/events`.

A stream starts with `hello`. Every event, `hello` and `gap` has a cursor. Keep the last one and
reconnect with it: no event is lost and none comes twice. A payload has at most {MAX_PAYLOAD_BYTES}
bytes."""

WEBSOCKET = f"""\
Text messages, one JSON object each. With the subprotocol `{websocket.SUBPROTOCOL}` a client also
gets `ping`, and may get several events as one JSON array of at most {MAX_MESSAGE_BYTES} bytes.
A client's messages count as signs of life and are otherwise ignored. More than
{websocket.MAX_CLIENT_MESSAGES_PER_SECOND} a second, or one of more than
{websocket.MAX_CLIENT_MESSAGE_BYTES} bytes, closes the socket. When the client was silent for
`heartbeat_s`, Relay sends a ping frame, which WebSocket libraries answer by themselves."""

SSE = f"""\
Server-sent events. Events are unnamed, so that `onmessage` receives them. Other messages are named
by their type. The `id` of an event, a `hello` and a `gap` is its cursor. The first block is
`{SSE_RETRY.decode().strip()}`. After {sse.MAX_HEARTBEAT_SECONDS:.0f} s of silence Relay sends the
comment `{SSE_HEARTBEAT.decode().strip()}`."""

_ON_BOTH = ("event", "hello", "gap", "close", "tasks", "task", "task_deleted")
_EXAMPLES: dict[str, msgspec.Struct] = {
    "event": stream_messages.EVENT,
    "hello": stream_messages.HELLO,
    "gap": stream_messages.GAP,
    "close": stream_messages.GOODBYE,
    "tasks": stream_messages.TASKS,
    "task": stream_messages.TASK_CHANGED,
    "task_deleted": stream_messages.TASK_DELETED,
    "ping": stream_messages.PING,
}
_BATCH_NAME = "events"


def asyncapi(base_url: str) -> dict[str, Any]:
    """The document of a Relay at this base URL."""
    schemas = Schemas()
    messages = {name: _message(schemas, name, one) for name, one in _EXAMPLES.items()}
    messages[_BATCH_NAME] = _batch(schemas)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Relay's streams",
            "version": __version__,
            "description": paragraphs(DESCRIPTION),
            "license": {"name": "MIT"},
        },
        "defaultContentType": JSON,
        "servers": _servers(base_url),
        "channels": {
            "websocket": _channel(
                schemas, "/api/rt", "websocket", WEBSOCKET, (*_ON_BOTH, "ping", _BATCH_NAME)
            ),
            "sse": _channel(schemas, "/api/sse", "sse", SSE, _ON_BOTH),
        },
        "operations": {
            "watchByWebSocket": _operation("websocket", (*_ON_BOTH, "ping", _BATCH_NAME)),
            "watchBySse": _operation("sse", _ON_BOTH),
        },
        "components": {
            "messages": messages,
            "schemas": schemas.components,
            "securitySchemes": _security(),
        },
        "x-close-codes": close_codes(),
    }


def close_codes() -> list[dict[str, Any]]:
    """The close codes that are sent to clients."""
    return [
        {"code": close.code, "reason": close.reason, "retry_after_ms": close.retry_after_ms}
        for close in Close
        if close is not Close.GONE
    ]


def _servers(base_url: str) -> dict[str, Any]:
    parts = urlsplit(base_url)
    secure = parts.scheme == "https"
    both = {
        "host": parts.netloc,
        **({"pathname": parts.path} if parts.path else {}),
        "security": [
            {"$ref": f"#/components/securitySchemes/{name}"}
            for name in ("session", "hook", "ticket", "cookie")
        ],
    }
    return {
        "websocket": {"protocol": "wss" if secure else "ws", **both},
        "sse": {"protocol": "https" if secure else "http", **both},
    }


def _channel(
    schemas: Schemas, address: str, server: str, description: str, names: tuple[str, ...]
) -> dict[str, Any]:
    headers = {"Last-Event-ID": stream_parameters.LAST_EVENT_ID_HEADER} if server == "sse" else {}
    binding: dict[str, Any] = {
        "method": "GET",
        "query": _parameters_schema(
            schemas, (*stream_parameters.WHERE_TO_START, stream_parameters.TASKS)
        ),
        "bindingVersion": "0.1.0",
    }
    if server == "websocket":
        binding["headers"] = {
            "type": "object",
            "properties": {
                "Sec-WebSocket-Protocol": {"type": "string", "const": websocket.SUBPROTOCOL}
            },
        }
    elif headers:
        binding["headers"] = _parameters_schema(schemas, tuple(headers.values()))
    channel: dict[str, Any] = {
        "address": address,
        "description": paragraphs(description),
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }
    if server == "websocket":
        channel["bindings"] = {"ws": binding}
    else:
        channel["x-request"] = binding
        channel["x-example"] = stream_messages.sse_example()
    return channel


def _parameters_schema(schemas: Schemas, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            given.name: {**schemas.of(given.type), "description": given.description}
            for given in parameters
        },
    }


def _operation(channel: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "action": "send",
        "description": "Relay sends the user's stored and new events, and where they stand.",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def _message(schemas: Schemas, name: str, example: msgspec.Struct) -> dict[str, Any]:
    summary = paragraphs(type(example).__doc__ or "")
    return {
        "name": name,
        "summary": summary,
        "payload": schemas.of(type(example)),
        "examples": [{"name": name, "payload": json_of(example)}],
    }


def _batch(schemas: Schemas) -> dict[str, Any]:
    return {
        "name": _BATCH_NAME,
        "summary": f"Several events; only with the subprotocol `{websocket.SUBPROTOCOL}`.",
        "payload": schemas.of(list[stream_messages.StreamEvent]),
        "examples": [{"name": _BATCH_NAME, "payload": [json_of(stream_messages.EVENT)]}],
    }


def _security() -> dict[str, Any]:
    """OpenAPI's security schemes, converted: AsyncAPI calls the type `apiKey` `httpApiKey`."""
    return {
        name: {**scheme, "type": "httpApiKey" if scheme["type"] == "apiKey" else scheme["type"]}
        for name, scheme in SECURITY.items()
        if name != "metrics"
    }
