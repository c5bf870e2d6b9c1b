#!/bin/sh
# Revoke a hook token: it stops working at once, and its streams are closed within a second.
#
#   ./8-revoke.sh                     the token in $HOOK: a token can always revoke itself
#   ./8-revoke.sh 5f0c8a8e-…          any of your tokens by its id, with the session
#
# If a token was published in a log or a repository, revoke it first, then look for misuse.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}"

if [ $# -eq 0 ]; then
    curl -sS --fail-with-body -X POST "$RELAY_URL/api/token/revoke" \
        -H "Authorization: Bearer ${HOOK:?the hook token to revoke}"
else
    jq -n --arg id "$1" '{token_id: $id}' |
        curl -sS --fail-with-body "$RELAY_URL/api/token/revoke" \
            -H "Authorization: Bearer ${SESSION:?the session token of 1-create-a-user.sh}" \
            -H 'Content-Type: application/json' \
            --data-binary @-
fi
echo
