"""Format a call as a curl command, from the data of the OpenAPI document."""

import shlex
from urllib.parse import urlencode

import msgspec

from relay.web.openapi.describe import EventStreamAnswer
from relay.web.openapi.rules import Operation

# the shell variables that hold a credential in the examples, by security scheme
_VARIABLES = {"session": "$SESSION", "hook": "$HOOK", "metrics": "$METRICS"}


def curl(call: Operation) -> str:
    """The curl command with the first accepted credential and the first example body."""
    described = call.described
    options = ["curl -sS"]
    path = call.path
    if any(isinstance(answer, EventStreamAnswer) for answer in described.answers.values()):
        options = ["curl -sSN"]
    if call.method not in ("GET", "POST") or (call.method == "POST" and not described.body):
        options[0] += f" -X {call.method}"
    for given in described.parameters:
        if given.where == "path":
            path = path.replace(f"{{{given.name}}}", str(given.example))
    path += _query(call)
    options.append(f'"$RELAY_URL{path}"')
    for name in call.accepts[:1]:
        if name in _VARIABLES:
            options.append(f'-H "Authorization: Bearer {_VARIABLES[name]}"')
    for media_type, examples in list(described.body.items())[:1]:
        example = examples[0] if isinstance(examples, tuple) else examples
        options.append(f"-H 'Content-Type: {media_type}'")
        options.append(f"-d {shlex.quote(msgspec.json.encode(example).decode())}")
    return " \\\n  ".join(options)


def _query(call: Operation) -> str:
    """The query that the call needs: required parameters, and all examples if it changes things."""
    examples = {
        given.name: given.example
        for given in call.described.parameters
        if given.where == "query"
        and (given.required or (call.method != "GET" and given.example is not None))
    }
    return f"?{urlencode(examples)}" if examples else ""
