"""Bodies of posts, with each byte decided by the test."""

TS = "2026-01-31T12:00:00Z"
MAX_BODY_BYTES = 131_072
MAX_PAYLOAD_BYTES = 65_536


def envelope(**fields: str) -> bytes:
    """An event whose fields are JSON texts, so that a test decides about every byte."""
    members = {"event_type": '"log"', "ts": f'"{TS}"', "payload": "{}", **fields}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}").encode()
