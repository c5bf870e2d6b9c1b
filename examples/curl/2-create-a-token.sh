#!/bin/sh
# Create a hook token: the token that a producer publishes with. Prints it.
#
#   export HOOK=$(./2-create-a-token.sh "build server")
#
# It is valid for an hour (`expires_in`, seconds) and can publish and watch (scope `webhook`).
# A producer that does not watch should get `publish`.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-create-a-user.sh}"

wanted=$(jq -n --arg name "${1:-example}" '{name: $name, expires_in: 3600, scopes: ["webhook"]}')
answer=$(curl -sS --fail-with-body "$RELAY_URL/api/token" \
    -H "Authorization: Bearer $SESSION" \
    -H 'Content-Type: application/json' \
    --data-binary "$wanted") || {
    failed=$?
    printf '%s\n' "$answer" >&2 # the problem document, if there is one
    exit $failed
}
printf '%s' "$answer" | jq -r .token
