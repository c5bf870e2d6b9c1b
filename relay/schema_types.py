"""Types with JSON Schemas, for the OpenAPI and AsyncAPI documents. They validate nothing."""

from typing import Annotated

from msgspec import Meta

from relay.identifiers import IDENTIFIER_PATTERN

# At most 18 digits, so that every number of the pattern is a Postgres bigint. `Cursor.parse` also
# takes the bigints that have 19.
CURSOR_PATTERN = r"[0-9A-Za-z_-]{1,64}\.(0|[1-9][0-9]{0,17})"

Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
# Moment: Relay's own times. Timestamp: a producer's, in any form of RFC 3339.
Moment = Annotated[
    str,
    Meta(
        extra_json_schema={
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        }
    ),
]
Timestamp = Annotated[
    str,
    Meta(
        extra_json_schema={
            "format": "date-time",
            "pattern": (
                r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)"
                r"(\.[0-9]{1,64})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
            ),
        }
    ),
]
Identifier = Annotated[str, Meta(extra_json_schema={"pattern": f"^{IDENTIFIER_PATTERN}$"})]
CursorText = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": f"^{CURSOR_PATTERN}$",
            "description": "`<epoch>.<seq>`: a position in the stream, after the event `seq`.",
        }
    ),
]
Seq = Annotated[int, Meta(ge=1, description="Position in the stream: 1, 2, 3 … without gaps.")]


class Examples:
    """Values for examples in the documents: a user, its tokens, its cursors, and times."""

    USER = "0199b1f2-6a5e-7c30-9d2b-8f4e1a6c7d05"
    TOKEN_ID = "5f0c8a8e-1d37-4c52-b7a4-2f6f1be0a913"
    SESSION = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJKV1QifQ.eyJ0eXBlIjoic2Vzc2lvbiJ9.c2lnbmVk"
    HOOK = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJKV1QifQ.eyJ0eXBlIjoiaG9vayJ9.c2lnbmVk"
    LINK = "Vp0uGv1hJmQxkB3n8sYt5w"
    EPOCH = "4ad9dfce2fbeec0f1f1d"
    CURSOR = f"{EPOCH}.41"
    NEXT = f"{EPOCH}.42"
    NOW = "2026-01-31T12:00:00.000Z"
    LATER = "2026-03-02T12:00:00.000Z"
    REQUEST = "9f76c2e77bae08ee"
