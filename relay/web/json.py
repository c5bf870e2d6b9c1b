"""Decode JSON request bodies into models, strictly."""

import re
from functools import lru_cache
from typing import TypeVar

import msgspec
from werkzeug.http import parse_options_header

from relay.errors import (
    BadRequest,
    FieldError,
    Invalid,
    UnsupportedMediaType,
    safe_name,
)
from relay.ingest.text_encoding import foreign_encoding, without_bom
from relay.media_types import JSON
from relay.web.auth import check_after_body
from relay.web.request import HTTPRequest, Request
from relay.web.signed_requests import check_signature

T = TypeVar("T")

_PATH = re.compile(r" - at `\$\.?(.*)`$")
_VALUE = re.compile(r" '.*'$", re.DOTALL)
_MISSING = re.compile(r"missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"unknown field `([^`]+)`")


def media_type(request: Request, *allowed: str) -> str:
    """The request's media type, one of these. Raises UnsupportedMediaType."""
    if "Content-Encoding" in request.headers:
        raise UnsupportedMediaType("Send the body uncompressed, without a Content-Encoding.")
    given, charset = _media_type(request.headers.get("Content-Type", ""))
    if given not in allowed or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"Send `Content-Type: {' or '.join(allowed)}`, in UTF-8.")
    return given


@lru_cache(maxsize=64)  # clients spell it in a few ways
def _media_type(content_type: str) -> tuple[str, str]:
    """The media type and the charset, in lower case."""
    given, parameters = parse_options_header(content_type)
    return given.lower(), parameters.get("charset", "utf-8").lower()


async def read_json(request: HTTPRequest, model: type[T], *, optional: bool = False) -> T:
    """Decode the JSON body. With `optional`, an empty body counts as `{}`.

    Raises BadSignature if the token requires a signature, BadRequest, Invalid,
    UnsupportedMediaType, and what RequestBody.read and `check_after_body` raise.
    """
    raw = await request.body.read()
    await check_after_body(request)
    check_signature(request, raw)
    if optional and not raw.strip():
        return msgspec.convert({}, model)
    media_type(request, JSON)
    return _decode(raw, model)


def _decode(raw: bytes, model: type[T]) -> T:
    """Decode the JSON text, after a byte order mark if it has one. Raises BadRequest, Invalid."""
    try:
        raw.decode()
        return msgspec.json.decode(raw, type=model)
    except msgspec.ValidationError as error:
        raise Invalid(errors=[field_error(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if (rest := without_bom(raw)) is not None:
            return _decode(rest, model)
        if (encoding := foreign_encoding(raw)) is not None:
            raise BadRequest(f"The body is {encoding}. Send JSON in UTF-8.") from None
        raise BadRequest("The body is not JSON.") from None


def field_error(message: str) -> FieldError:
    """Split msgspec's message into the field and what is wrong with it."""
    path = _PATH.search(message)
    text = message[: path.start()] if path else message
    for pattern, plain in ((_MISSING, "is missing"), (_UNKNOWN, "is not a field here")):
        if match := pattern.search(text):
            prefix = f"{path[1]}." if path else ""
            return FieldError(f"{prefix}{safe_name(match[1])}", plain)
    where = path[1] if path else "body"
    # the value is not repeated: it may be a secret in the wrong place
    return FieldError(where, _VALUE.sub("", text[:1].lower() + text[1:]))
