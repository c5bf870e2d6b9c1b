#!/bin/sh
# Send each line of a text as an event of one task. A batch is NDJSON: one event per line.
#
#   seq 20 | ./4-send-a-batch.sh countdown
#
# All events are stored in one commit, or none. The limits are 1 000 events and 1 MiB.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${HOOK:?the hook token of 2-create-a-token.sh}"

task=${1:-example}

# --data-binary, because -d removes line ends
jq -cR --arg task "$task" --arg ts "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    '{event_type: "log", task_id: $task, ts: $ts, payload: {message: .}}' |
    curl -sS --fail-with-body "$RELAY_URL/api/webhook/cli" \
        -H "Authorization: Bearer $HOOK" \
        -H 'Content-Type: application/x-ndjson' \
        --data-binary @-
echo
