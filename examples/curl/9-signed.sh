#!/bin/sh
# Send a signed event (Standard Webhooks): a stolen token alone is worth nothing then.
#
#   ./9-signed.sh "signed and sealed"
#
# A token made with `signed: true` comes with a secret that never goes over the wire again;
# every request proves by an HMAC over its id, its time and its body that the sender holds it.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-become-somebody.sh}"

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

# openssl takes the key as hex digits; the secret is base64 after its prefix
key=$(printf '%s' "${secret#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')

id=$(date +%s)-$$
now=$(date +%s) # Relay takes five minutes either way
body=$(jq -cn --arg message "${1:-hello}" --arg ts "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    '{event_type: "log", ts: $ts, payload: {message: $message}}')

signature=$(printf '%s.%s.%s' "$id" "$now" "$body" |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)

# the body must be the very bytes that were signed
printf '%s' "$body" | curl -sS --fail-with-body "$RELAY_URL/api/webhook/cli" \
    -H "Authorization: Bearer $token" \
    -H 'Content-Type: application/json' \
    -H "webhook-id: $id" \
    -H "webhook-timestamp: $now" \
    -H "webhook-signature: v1,$signature" \
    --data-binary @-
echo
