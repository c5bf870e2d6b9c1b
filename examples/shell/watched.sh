# watched COMMAND…: run a command and publish its result to Relay. Needs POSIX tools and curl.
#
#   . ./watched.sh
#   watched make test
#
# RELAY_URL and RELAY_TOKEN, a token that can publish, must be set in the environment. The command's
# input, output and exit code are unchanged, so `set -e` and `&&` work as usual. If Relay is away,
# there is only a line on stderr. Output is kept in a temporary file until the command ends.
watched() (
    # The token is in a file, because other users can see command lines. What is written later has
    # its room from the start, and is written over: the output may fill the disk.
    prepare() {
        [ -n "${RELAY_TOKEN:-}" ] && dir=$(mktemp -d) &&
            printf 'Authorization: Bearer %s\n' "$RELAY_TOKEN" >"$dir/header" &&
            echo 130 >"$dir/code" && echo >"$dir/nap"
    }
    dir=
    if ! prepare 2>/dev/null; then
        echo 'watched: no RELAY_TOKEN, or no room for temporary files: not published' >&2
        [ -z "$dir" ] || rm -rf "$dir"
        "$@"
        exit
    fi
    # Notes which beat to end, and removes the folder. A beat in between makes the removal fail once.
    remove() {
        { read -r nap <"$dir/nap"; } 2>/dev/null || :
        rm -rf "$dir"
    }
    trap 'remove 2>/dev/null || remove || :; kill $nap 2>/dev/null || :' EXIT
    trap : INT # Ctrl-C is for the command; its end is still published
    task=watched-${dir##*.}

    # event TYPE PAYLOAD: one event. Its event_id is always the same, so that it is stored once.
    event() {
        printf '{"event_type":"%s","event_id":"%s","task_id":"%s","ts":"%s","payload":{%s}}\n' \
            "$1" "$task-$1" "$task" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$2"
    }

    # Sends the events on stdin, all or none, with retries for about 15 seconds.
    send() {
        why=$(curl -sS --fail -o /dev/null "${RELAY_URL:-http://127.0.0.1:8000}/api/webhook/cli" \
            --connect-timeout 5 --max-time 10 --retry 3 --retry-connrefused --retry-max-time 10 \
            -H @"$dir/header" -H 'Content-Type: application/x-ndjson' --data-binary @- 2>&1) ||
            echo "watched: not published: ${why##*curl: }" >&2
    }

    # Keeps the lease of the task while this shell lives and its folder is there: a beat every 30
    # seconds. Without one for 90, the page says that the task is lost.
    beat() {
        while sleep 30 & nap=$!; do
            echo "$nap" 1<>"$dir/nap" && wait "$nap" && kill -0 "$1" && [ -e "$dir/header" ] || break
            curl -s -o /dev/null --connect-timeout 5 --max-time 10 -H @"$dir/header" \
                -H 'Content-Type: application/json' --data-binary "{\"task_ids\":[\"$task\"]}" \
                "${RELAY_URL:-http://127.0.0.1:8000}/api/tasks/beat" || :
        done
        kill "$nap"
    }

    # Removes bytes that are not UTF-8; without iconv, bytes that are not ASCII.
    utf8() {
        if command -v iconv >/dev/null; then
            iconv -cf UTF-8 -t UTF-8 2>/dev/null || :
        else
            LC_ALL=C tr -d '\200-\377'
        fi
    }

    # Prints the inside of a JSON string. Colours are kept, other control characters removed.
    quoted() (
        export LC_ALL=C
        utf8 | tr -d '\000-\010\013-\032\034-\037' | sed 's/[\\"]/\\&/g' | awk '{
            gsub(/\t/, "\\t"); gsub(/\033/, "\\u001b"); printf "%s%s", end, $0; end = "\\n"
        }'
    )

    run() {
        trap : INT
        "$@" && code=0 || code=$?
        echo "$code" 1<>"$dir/code"
    }

    title=$(printf '%.200s' "$*" | quoted)
    event task_started "\"title\":\"$title\",\"lease_s\":90" | send &
    start=$!
    beat "$(exec sh -c 'echo "$PPID"')" </dev/null >/dev/null 2>&1 &
    began=$(date +%s)
    # stdout and stderr stay separate; both are also written to the file
    { run "$@" 2>&1 >&3 3>&- | tee -ai "$dir/output" >&2 3>&-; } 3>&1 | tee -ai "$dir/output" || :
    read -r code <"$dir/code"
    took=$(($(date +%s) - began))
    wait "$start" # until the start is published

    if [ "$code" -eq 0 ]; then end=task_succeeded; else end=task_failed; fi
    {
        if [ -s "$dir/output" ]; then
            event log "\"message\":\"$(tail -n 20 "$dir/output" | tail -c 8000 | quoted)\""
        fi
        event "$end" "\"title\":\"$title\",\"exit_code\":$code,\"duration_s\":$took"
    } | send
    exit "$code"
)
