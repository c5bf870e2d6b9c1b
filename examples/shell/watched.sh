# watched COMMAND…: run it, and show on Relay how it goes. Beside the tools of POSIX it needs curl.
#
#   . ./watched.sh
#   watched make test
#
# RELAY_URL and RELAY_TOKEN, a hook token, stand in the environment. What the command prints, reads
# and ends with is as without: so `set -e` and `&&` see no difference, and Relay away is only a line
# on stderr. What it prints is kept in a temporary file until its end.
watched() (
    if [ -z "${RELAY_TOKEN:-}" ] || ! dir=$(mktemp -d); then
        echo 'watched: no RELAY_TOKEN, or no room for a file: nobody is told' >&2
        "$@"
        exit
    fi
    trap 'rm -rf "$dir"' EXIT
    trap : INT # Ctrl-C is the command's; we stay to tell how it ended
    task=watched-${dir##*.}
    # in a file, since other users see what stands on a command line
    printf 'Authorization: Bearer %s\n' "$RELAY_TOKEN" >"$dir/header"

    # TYPE PAYLOAD: one event. Sent again, it has the same event_id, and so it counts once.
    event() {
        printf '{"event_type":"%s","event_id":"%s","task_id":"%s","ts":"%s","payload":{%s}}\n' \
            "$1" "$task-$1" "$task" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$2"
    }

    # Sends the events on stdin: all or none, and again after a failure, for some 15 seconds.
    send() {
        why=$(curl -sS --fail -o /dev/null "${RELAY_URL:-http://127.0.0.1:8000}/api/webhook/cli" \
            --connect-timeout 5 --max-time 10 --retry 3 --retry-connrefused --retry-max-time 10 \
            -H @"$dir/header" -H 'Content-Type: application/x-ndjson' --data-binary @- 2>&1) ||
            echo "watched: Relay was not told: ${why##*curl: }" >&2
    }

    # What of any bytes is UTF-8; without iconv, what is ASCII.
    utf8() {
        if command -v iconv >/dev/null; then
            iconv -cf UTF-8 -t UTF-8 2>/dev/null || :
        else
            LC_ALL=C tr -d '\200-\377'
        fi
    }

    # The inside of a JSON string; colours stay, other control characters go.
    quoted() (
        export LC_ALL=C
        utf8 | tr -d '\000-\010\013-\032\034-\037' | sed 's/[\\"]/\\&/g' | awk '{
            gsub(/\t/, "\\t"); gsub(/\033/, "\\u001b"); printf "%s%s", end, $0; end = "\\n"
        }'
    )

    run() {
        trap : INT
        "$@" && code=0 || code=$?
        echo "$code" >"$dir/code"
    }

    title=$(printf '%.200s' "$*" | quoted)
    event task_started "\"title\":\"$title\"" | send &
    began=$(date +%s)
    # stdout and stderr stay apart; both are also written down
    { run "$@" 2>&1 >&3 3>&- | tee -ai "$dir/output" >&2 3>&-; } 3>&1 | tee -ai "$dir/output" || :
    code=$(cat "$dir/code" 2>/dev/null || echo 130)
    took=$(($(date +%s) - began))
    wait # until the beginning is told

    if [ "$code" -eq 0 ]; then end=task_succeeded; else end=task_failed; fi
    {
        if [ -s "$dir/output" ]; then
            event log "\"message\":\"$(tail -n 20 "$dir/output" | tail -c 8000 | quoted)\""
        fi
        event "$end" "\"title\":\"$title\",\"exit_code\":$code,\"duration_s\":$took"
    } | send
    exit "$code"
)
