#!/bin/sh
# Watch with a URL alone. Tickets are for clients that cannot send headers, like EventSource.
#
#   ./7-ticket.sh
#
# A ticket opens one stream, once, within 30 seconds. A token in a URL could stay in logs for months.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-create-a-user.sh}"

answer=$(curl -sS --fail-with-body -X POST "$RELAY_URL/api/rt/ticket" \
    -H "Authorization: Bearer $SESSION") || {
    failed=$?
    printf '%s\n' "$answer" >&2 # the problem document, if there is one
    exit $failed
}
ticket=$(printf '%s' "$answer" | jq -r .ticket)

# two seconds of the stream; curl's exit code 28 means that this time is over
curl -sSN --fail-with-body --max-time 2 "$RELAY_URL/api/sse?ticket=$ticket" || [ $? -eq 28 ]

echo 'The same ticket again:'
curl -sS "$RELAY_URL/api/sse?ticket=$ticket" | jq -r '"\(.status) \(.detail)"'
