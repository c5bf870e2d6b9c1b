"""Media types of bodies, at both ends of a connection."""

JSON = "application/json"
NDJSON = "application/x-ndjson"  # one JSON object a line
PROBLEM = "application/problem+json"  # RFC 9457
EVENT_STREAM = "text/event-stream"
