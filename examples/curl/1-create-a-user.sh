#!/bin/sh
# Create an anonymous user with a private stream. Prints the session token.
#
#   export SESSION=$(./1-create-a-user.sh)
#
# The token is shown once. It allows to watch the stream and to manage the user's tokens.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}"

answer=$(curl -sS --fail-with-body -X POST "$RELAY_URL/api/user") || {
    failed=$?
    printf '%s\n' "$answer" >&2 # the problem document, if there is one
    exit $failed
}
printf '%s' "$answer" | jq -r .session_token
