"""Hooks of Schemathesis: what OpenAPI cannot express."""

import json
import re
from typing import Any

import schemathesis

POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"


@schemathesis.serializer("application/x-ndjson")
def one_a_line(context: Any, value: Any) -> bytes:
    """A batch is its items, one a line; what is no list is sent as it is."""
    if not isinstance(value, list):
        return json.dumps(value).encode()
    return "".join(json.dumps(item) + "\n" for item in value).encode()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """No call gives two parameters that exclude each other, or none of two where one is needed.

    And none waits, or deletes the user of all others.
    """
    query = case.query or {}
    if {"last", "after"} <= set(query):
        del query["last"]
    if (case.method, case.path) == ("DELETE", "/api/tasks"):
        if {"task_id", "state"} <= set(query):
            del query["state"]
        if not {"task_id", "state"} & set(query):
            case.query = {**query, "task_id": "build-7"}
    if (case.method, case.path) == ("DELETE", "/api/user") and _is_uuid(case.body):
        case.body["confirm"] = "00000000-0000-0000-0000-000000000000"
    if "wait_s" in query:
        query["wait_s"] = 0
    if isinstance(case.body, dict) and case.method == "POST":
        _make_answerable(case.path, case.body)
    if isinstance(case.body, dict) and isinstance(case.body.get("url"), str):
        case.body["url"] = "https://hooks.example/relay"  # a name that leads nowhere
    if isinstance(case.body, dict) and isinstance(case.body.get("subscription"), dict):
        _make_sendable(case.body["subscription"])
    if isinstance(case.body, dict) and case.body.get("wait_s") in range(1, 26):
        case.body["wait_s"] = 0  # a beat that waits takes its time


def _make_sendable(subscription: dict[str, Any]) -> None:
    """Most strings of the right form are no point on the curve."""
    if isinstance(subscription.get("endpoint"), str):
        subscription["endpoint"] = "https://push.example/1"  # a name that leads nowhere
    keys = subscription.get("keys")
    if isinstance(keys, dict) and re.fullmatch(r"[\w-]{87}=?", str(keys.get("p256dh")), re.ASCII):
        keys["p256dh"] = POINT


def _is_uuid(body: Any) -> bool:
    """Whether a body confirms a deletion with an id, which could be that of the caller."""
    confirm = body.get("confirm") if isinstance(body, dict) else None
    return isinstance(confirm, str) and len(confirm) == 36


def _make_answerable(path: str, body: dict[str, Any]) -> None:
    """Ask for a text, which "yes" answers, unless the choice is between yes and no."""
    if path == "/api/asks" and body.get("kind") in ("choice", "text"):
        if body["kind"] == "text" or body.get("options") != ["yes", "no"]:
            body["kind"] = "text"
            body.pop("options", None)
        if isinstance(body.get("question"), str) and body["question"]:
            body["question"] = "Deploy?"  # neither blank nor with control characters
    if path == "/api/asks/{ask_id}/answer" and isinstance(body.get("answer"), str):
        body["answer"] = "yes"


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """JSON Schema takes 7.0 for an integer; Relay does not, and writers of JSON rarely would."""
    if isinstance(body, dict):
        return {name: _whole(value) for name, value in body.items()}
    return body


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
