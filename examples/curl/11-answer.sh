#!/bin/sh
# Answer what programs ask: show the open questions, or answer one.
#
#   ./11-answer.sh
#   ./11-answer.sh 5f0c8a8e-… yes
#
# Only a session can answer. The question_hash proves that this question was shown.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-create-a-user.sh}"

if [ $# -eq 0 ]; then
    curl -sS --fail-with-body "$RELAY_URL/api/asks" -H "Authorization: Bearer $SESSION" |
        jq -r '.asks[] | "\(.ask_id) \(.question) \(.options | join(", "))"'
    exit
fi

shown=$(curl -sS --fail-with-body "$RELAY_URL/api/asks/$1" -H "Authorization: Bearer $SESSION") || {
    failed=$?
    printf '%s\n' "$shown" >&2 # the problem document, if there is one
    exit $failed
}
printf '%s' "$shown" | jq -c --arg answer "${2:?an answer}" \
    '{answer: $answer, question_hash: .question_hash}' |
    curl -sS --fail-with-body "$RELAY_URL/api/asks/$1/answer" \
        -H "Authorization: Bearer $SESSION" \
        -H 'Content-Type: application/json' \
        --data-binary @-
echo
