#!/bin/sh
# Become somebody: an anonymous user with a private stream. Prints the session token.
#
#   export SESSION=$(./1-become-somebody.sh)
#
# The token is shown this once; whoever holds it manages this user's tokens and watches the stream.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}"

answer=$(curl -sS --fail-with-body -X POST "$RELAY_URL/api/user") || {
    failed=$?
    printf '%s\n' "$answer" >&2 # the problem document, if there is one
    exit $failed
}
printf '%s' "$answer" | jq -r .session_token
