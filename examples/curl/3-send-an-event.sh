#!/bin/sh
# Send one event. Sent again with the same `event_id`, it is stored and delivered only once.
#
#   ./3-send-an-event.sh "Build 17 started"
#
# So a script can try again after a timeout or a 503. curl's --retry does, and obeys Retry-After.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${HOOK:?the hook token of 2-create-a-token.sh}"

event_id=${EVENT_ID:-$(date +%s)-$$}

jq -n --arg id "$event_id" --arg message "${1:-hello}" --arg ts "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    '{event_type: "log", event_id: $id, ts: $ts, payload: {message: $message}}' |
    curl -sS --fail-with-body --retry 5 "$RELAY_URL/api/webhook/cli" \
        -H "Authorization: Bearer $HOOK" \
        -H 'Content-Type: application/json' \
        --data-binary @-
echo
