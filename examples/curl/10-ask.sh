#!/bin/sh
# Ask a person, and wait for the answer.
#
#   ./10-ask.sh "Deploy build 17?" yes no && ./deploy
#
# Prints the answer. Exit code 0: the first option. 1: another one. 124: no answer in a minute.
# 3: the question was withdrawn. 22: it could not be asked. Nothing but an answer is a yes.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${HOOK:?the hook token of 2-create-a-token.sh}"
question=${1:?a question}
shift

# call METHOD PATH: the answer of the API, or its problem document on stderr and exit code 22
call() {
    answer=$(curl -sS --fail-with-body --retry 5 --retry-connrefused --max-time 40 -X "$@" \
        -H "Authorization: Bearer $HOOK" -H 'Content-Type: application/json') || {
        printf '%s\n' "$answer" >&2
        exit 22
    }
}

# with an event_id, a request that is sent again asks once
body=$(jq -cn --arg question "$question" --arg id "ask-$$-$(date +%s)" '
    {question: $question, event_id: $id, expires_in: 60}
    + if $ARGS.positional == [] then {kind: "text"}
      else {kind: "choice", options: $ARGS.positional} end' --args "$@")
call POST "$RELAY_URL/api/asks" --data-binary "$body"
ask=$(printf '%s' "$answer" | jq -r .ask_id)

# each call waits for 25 seconds at most; one that comes back at once is followed by a pause
while call GET "$RELAY_URL/api/asks/$ask?wait_s=25"; do
    state=$(printf '%s' "$answer" | jq -r .state)
    [ "$state" = open ] || break
    sleep 1
done

case $state in
    answered) ;;
    expired) exit 124 ;;
    *) exit 3 ;;
esac
printf '%s' "$answer" | jq -r .answer
[ $# -eq 0 ] || [ "$(printf '%s' "$answer" | jq -r .answer)" = "$1" ]
