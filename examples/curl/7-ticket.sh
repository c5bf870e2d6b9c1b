#!/bin/sh
# Watch by a URL alone: a ticket is for what cannot send headers, like EventSource in a browser.
#
#   ./7-ticket.sh
#
# It opens one stream, once, within 30 seconds; a token in a URL would stand in logs for months.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-become-somebody.sh}"

answer=$(curl -sS --fail-with-body -X POST "$RELAY_URL/api/rt/ticket" \
    -H "Authorization: Bearer $SESSION") || {
    failed=$?
    printf '%s\n' "$answer" >&2 # the problem document, if there is one
    exit $failed
}
ticket=$(printf '%s' "$answer" | jq -r .ticket)

# two seconds of the stream; curl says 28 when the time is over, which is what we asked for
curl -sSN --fail-with-body --max-time 2 "$RELAY_URL/api/sse?ticket=$ticket" || [ $? -eq 28 ]

echo 'The same ticket again:'
curl -sS "$RELAY_URL/api/sse?ticket=$ticket" | jq -r '"\(.status) \(.detail)"'
