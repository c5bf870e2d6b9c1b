#!/bin/sh
# Follow the stream, live: server-sent events, until you press Ctrl-C.
#
#   ./5-follow.sh                     from now on
#   ./5-follow.sh 4ad9dfce2f….42      from that cursor on, nothing lost, nothing twice
#
# Every event says its cursor as `id:`; the last one you saw is where to come back.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-become-somebody.sh}"

# -N: show each event as it comes. An empty Last-Event-ID counts as none.
exec curl -sSN --fail-with-body "$RELAY_URL/api/sse" \
    -H "Authorization: Bearer $SESSION" \
    -H "Last-Event-ID: ${1:-}"
