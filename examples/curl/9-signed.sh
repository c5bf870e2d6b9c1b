#!/bin/sh
# Send a signed event (Standard Webhooks): a stolen token alone is useless.
#
#   ./9-signed.sh "signed and sealed"
#
# A token created with `signed: true` has a secret that is never sent again. Each request proves,
# with an HMAC over its id, time and body, that the sender has the secret.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-create-a-user.sh}"

answer=$(curl -sS --fail-with-body "$RELAY_URL/api/token" \
    -H "Authorization: Bearer $SESSION" \
    -H 'Content-Type: application/json' \
    -d '{"name": "signed example", "expires_in": 3600, "signed": true}') || {
    failed=$?
    printf '%s\n' "$answer" >&2 # the problem document, if there is one
    exit $failed
}
token=$(printf '%s' "$answer" | jq -r .token)
secret=$(printf '%s' "$answer" | jq -r .signing_secret)

# openssl needs the key in hex; the secret is base64 after its prefix
key=$(printf '%s' "${secret#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')

id=$(date +%s)-$$
now=$(date +%s) # Relay accepts five minutes of difference
body=$(jq -cn --arg message "${1:-hello}" --arg ts "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    '{event_type: "log", ts: $ts, payload: {message: $message}}')

signature=$(printf '%s.%s.%s' "$id" "$now" "$body" |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)

# the body must be exactly the bytes that were signed
printf '%s' "$body" | curl -sS --fail-with-body "$RELAY_URL/api/webhook/cli" \
    -H "Authorization: Bearer $token" \
    -H 'Content-Type: application/json' \
    -H "webhook-id: $id" \
    -H "webhook-timestamp: $now" \
    -H "webhook-signature: v1,$signature" \
    --data-binary @-
echo
