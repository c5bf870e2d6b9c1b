#!/bin/sh
# Revoke a hook token: nothing more is taken from it, and its streams close within a second.
#
#   ./8-revoke.sh                     the token in $HOOK, which may always revoke itself
#   ./8-revoke.sh 5f0c8a8e-…          any of yours by its id, with the session
#
# A token that ended up in a log or a repository: revoke first, then look for who saw it.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}"

if [ $# -eq 0 ]; then
    curl -sS --fail-with-body -X POST "$RELAY_URL/api/token/revoke" \
        -H "Authorization: Bearer ${HOOK:?the hook token to revoke}"
else
    jq -n --arg id "$1" '{token_id: $id}' |
        curl -sS --fail-with-body "$RELAY_URL/api/token/revoke" \
            -H "Authorization: Bearer ${SESSION:?the session token of 1-become-somebody.sh}" \
            -H 'Content-Type: application/json' \
            --data-binary @-
fi
echo
