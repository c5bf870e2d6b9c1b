"""Media types of bodies."""

JSON = "application/json"
NDJSON = "application/x-ndjson"  # one JSON object a line
