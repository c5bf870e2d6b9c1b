"""What bodies say they are."""

JSON = "application/json"
NDJSON = "application/x-ndjson"  # one JSON object a line: many events in one request
