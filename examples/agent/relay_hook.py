"""Publishes what a coding agent does: each of its sessions is a task.

It reads the JSON that Claude Code passes to hooks, in one of two ways:

    python3 relay_hook.py < hook.json      a command hook, the JSON on stdin
    python3 relay_hook.py --listen 8765    HTTP hooks, POSTed to http://127.0.0.1:8765/
"""

import json
import signal
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

from relay.client import Client

MOST = 2_000  # characters of a message; the agent's transcript has the rest
BODY_MOST = 8 * 2**20  # bytes; a hook contains the whole output of a tool


def event(hook):
    """The type and payload of a hook's event; None for a hook that is not shown."""
    match hook.get("hook_event_name"):
        case "UserPromptSubmit":
            return "task_started", {"title": hook["prompt"].strip().split("\n")[0][:120]}
        case "PreToolUse":  # the current step
            return "task_progress", {"message": doing(hook)}
        case "PostToolUse":  # the finished step
            return "log", {"message": doing(hook)}
        case "PostToolUseFailure":
            return "log", {"message": f"{doing(hook)}\n{hook['error']}", "level": "error"}
        case "Notification":  # the agent waits for you
            return "log", {"message": hook["message"], "level": "warning"}
        case "Stop":
            return "task_succeeded", {"message": hook.get("last_assistant_message") or "done"}
        case "StopFailure":
            return "task_failed", {"message": hook.get("error_details") or hook["error"]}
        case "SessionEnd":  # also ends an interrupted prompt
            return "task_succeeded", {"message": f"session over: {hook['reason']}"}


def doing(hook):
    """The tool and its first text argument: a command, a file, a pattern or an address."""
    given = [text for text in hook.get("tool_input", {}).values() if isinstance(text, str)]
    return f"{hook['tool_name']}: {given[0]}" if given else hook["tool_name"]


def publish(client, hook):
    if (found := event(hook)) is None:
        return
    event_type, payload = found
    payload = {name: text[:MOST] for name, text in payload.items()}
    # a tool call has an id: a hook that is sent twice is stored once
    call = hook.get("tool_use_id")
    given = {"event_id": f"{call}-{hook['hook_event_name']}"} if call else {}
    client.publish(event_type, payload, hook["session_id"], **given)


class Hooks(BaseHTTPRequestHandler):
    """Answers at once without content, so that the agent continues."""

    timeout = 10

    def do_POST(self):
        if self.headers.get_content_type() != "application/json":
            return self.answer(415)  # a web page cannot send JSON here without a preflight request
        try:
            size = int(self.headers["Content-Length"])
            if not 0 <= size <= BODY_MOST:
                return self.answer(413)
            publish(self.server.client, json.loads(self.rfile.read(size)))
        except (ValueError, KeyError, AttributeError, TypeError):
            return self.answer(400)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    with Client() as client:
        if sys.argv[1:2] != ["--listen"]:
            publish(client, json.load(sys.stdin))
            return
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with HTTPServer(("127.0.0.1", int(sys.argv[2])), Hooks) as server:
            server.client = client
            print(f"listens on http://127.0.0.1:{server.server_port}/", flush=True)
            with suppress(KeyboardInterrupt):
                server.serve_forever()


if __name__ == "__main__":
    main()
