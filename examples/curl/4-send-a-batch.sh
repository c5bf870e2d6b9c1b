#!/bin/sh
# Send every line of a text as an event of one task: a batch is NDJSON, one event a line.
#
#   seq 20 | ./4-send-a-batch.sh countdown
#
# All or none are stored, in one commit: at most 1 000 events and 1 MiB.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${HOOK:?the hook token of 2-make-a-token.sh}"

task=${1:-example}

# --data-binary, since -d would take the line ends away
jq -cR --arg task "$task" --arg ts "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    '{event_type: "log", task_id: $task, ts: $ts, payload: {message: .}}' |
    curl -sS --fail-with-body "$RELAY_URL/api/webhook/cli" \
        -H "Authorization: Bearer $HOOK" \
        -H 'Content-Type: application/x-ndjson' \
        --data-binary @-
echo
