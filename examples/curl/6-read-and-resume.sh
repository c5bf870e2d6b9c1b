#!/bin/sh
# Read the events since the last run, in pages, and save the cursor.
#
#   ./6-read-and-resume.sh            prints each new event as a line of JSON
#
# The cursor is saved in a file after each page is printed: after an interruption, a page may be
# printed again, but none is left out.
set -eu
: "${RELAY_URL:=http://127.0.0.1:8000}" "${SESSION:?the session token of 1-create-a-user.sh}"
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
    # events that were deleted before they were read
    printf '%s' "$answer" | jq -r 'select(.gap) | "missing: \(.gap.from) to \(.gap.to)"' >&2
    printf '%s' "$answer" | jq -c '.events[]'
    cursor=$(printf '%s' "$answer" | jq -er .cursor)
    printf '%s\n' "$cursor" >"$CURSOR_FILE.new" # so that a full disk does not lose the one before
    mv "$CURSOR_FILE.new" "$CURSOR_FILE"
    [ "$(printf '%s' "$answer" | jq '.events | length')" -gt 0 ] || break
done
