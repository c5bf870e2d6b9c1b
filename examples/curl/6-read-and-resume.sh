#!/bin/sh
# Read what is new since the last run, in pages, and remember how far that was.
#
#   ./6-read-and-resume.sh            prints each new event as a line of JSON
#
# The cursor stands in a file. It is written after a page was printed: an interrupted run
# prints a page again rather than leave one out.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-become-somebody.sh}"
: "${CURSOR_FILE:=relay.cursor}" "${LIMIT:=100}"

cursor=oldest
if [ -s "$CURSOR_FILE" ]; then cursor=$(cat "$CURSOR_FILE"); fi

while :; do
    answer=$(curl -sS --fail-with-body -G "$RELAY_URL/api/events" \
        -H "Authorization: Bearer $SESSION" \
        -d after="$cursor" -d limit="$LIMIT") || {
        failed=$?
        printf '%s\n' "$answer" >&2 # the problem document, if there is one
        exit $failed
    }
    # trimmed before they were read: whoever counts on every event wants to know
    printf '%s' "$answer" | jq -r 'select(.gap) | "missing: \(.gap.from) to \(.gap.to)"' >&2
    printf '%s' "$answer" | jq -c '.events[]'
    cursor=$(printf '%s' "$answer" | jq -er .cursor)
    printf '%s\n' "$cursor" >"$CURSOR_FILE"
    [ "$(printf '%s' "$answer" | jq '.events | length')" -gt 0 ] || break
done
