"""Request bodies in, answers out: strict JSON both ways."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec
from quart import Response, request

from relay.errors import (
    BadRequest,
    FieldError,
    Invalid,
    UnsupportedMediaType,
    named,
)
from relay.media_types import JSON

T = TypeVar("T")

_PATH = re.compile(r" - at `\$\.?(.*)`$")
_VALUE = re.compile(r" '.*'$", re.DOTALL)
_MISSING = re.compile(r"missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")


def media_type(*allowed: str) -> str:
    """The request's media type, one of these. Raises UnsupportedMediaType."""
    if request.headers.get("Content-Encoding"):
        raise UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")
    given, charset = request.mimetype, request.mimetype_params.get("charset", "utf-8")
    if given not in allowed or charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"Send `Content-Type: {' or '.join(allowed)}`, in UTF-8.")
    return given


async def read_bytes() -> bytes:
    """The whole body. Raises PayloadTooLarge, RequestTimeout (as the framework's own errors)."""
    return cast("bytes", await request.get_data(as_text=False))


async def read_body(model: type[T], *, optional: bool = False) -> T:
    """The JSON body as a model. With `optional`, no body is an empty object.

    Raises BadRequest, Invalid, UnsupportedMediaType, PayloadTooLarge, RequestTimeout.
    """
    raw = await read_bytes()
    if optional and not raw.strip():
        return msgspec.convert({}, model)
    media_type(JSON)
    try:
        raw.decode()
        return msgspec.json.decode(raw, type=model)
    except msgspec.ValidationError as error:
        raise Invalid(errors=[field_error(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("The body is not JSON.") from None


def field_error(message: str) -> FieldError:
    """msgspec's sentence, with the field it is about named apart."""
    path = _PATH.search(message)
    text = message[: path.start()] if path else message
    for pattern, plain in ((_MISSING, "is missing"), (_UNKNOWN, "is not a field here")):
        if match := pattern.search(text):
            prefix = f"{path[1]}." if path else ""
            return FieldError(f"{prefix}{named(match[1])}", plain)
    where = path[1] if path else "body"
    # the value itself is not repeated: it may be a secret that was put in the wrong place
    return FieldError(where, _VALUE.sub("", text[:1].lower() + text[1:]))


def answer(
    body: msgspec.Struct | dict[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A JSON response that no cache keeps."""
    response = Response(msgspec.json.encode(body), status, mimetype=JSON)
    response.headers["Cache-Control"] = "no-store"
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response
