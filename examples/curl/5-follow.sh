#!/bin/sh
# Follow the stream, live: server-sent events, until you press Ctrl-C.
#
#   ./5-follow.sh                     from now on
#   ./5-follow.sh 4ad9dfce2f….42      after that cursor, without duplicates or holes
#
# The `id:` of each event is its cursor. Resume with the last one you saw.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-create-a-user.sh}"

# -N: show each event as it arrives. An empty Last-Event-ID is ignored.
exec curl -sSN --fail-with-body "$RELAY_URL/api/sse" \
    -H "Authorization: Bearer $SESSION" \
    -H "Last-Event-ID: ${1:-}"
