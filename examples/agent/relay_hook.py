"""Publishes what a coding agent does: each of its sessions is a task.

It reads the JSON that Claude Code passes to hooks, in one of two ways:

    python3 relay_hook.py < hook.json      a command hook, the JSON on stdin
    python3 relay_hook.py --listen 8765    HTTP hooks, POSTed to http://127.0.0.1:8765/
"""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

try:
    from relay.client import Client
except ImportError:  # this Python lacks Relay's package: command hooks use the program `relay`
    Client = None

MOST = 2_000  # characters of a message; the agent's transcript has the rest
BODY_MOST = 8 * 2**20  # bytes; a hook contains the whole output of a tool
PATIENCE = 5  # seconds for a Relay that is away; the settings stop a hook after 10
UNREADABLE = (ValueError, KeyError, AttributeError, TypeError, RecursionError)  # not such a hook

# the type and payload of a hook's event; other hooks are not shown
EVENTS = {
    "UserPromptSubmit": lambda hook: ("task_started", {"title": first_line(hook["prompt"])}),
    # the current step, and the finished one
    "PreToolUse": lambda hook: ("task_progress", {"message": doing(hook)}),
    "PostToolUse": lambda hook: ("log", {"message": doing(hook)}),
    "PostToolUseFailure": lambda hook: (
        "log",
        {"message": f"{doing(hook)}\n{hook['error']}", "level": "error"},
    ),
    # the agent waits for you
    "Notification": lambda hook: ("log", {"message": hook["message"], "level": "warning"}),
    "Stop": lambda hook: (
        "task_succeeded",
        {"message": hook.get("last_assistant_message") or "done"},
    ),
    "StopFailure": lambda hook: (
        "task_failed",
        {"message": hook.get("error_details") or hook["error"]},
    ),
    # also ends an interrupted prompt
    "SessionEnd": lambda hook: (
        "task_succeeded",
        {"message": f"session over: {hook['reason']}"},
    ),
}


def first_line(prompt):
    return prompt.strip().split("\n")[0][:120]


def doing(hook):
    """The tool and its first text argument: a command, a file, a pattern or an address."""
    given = [text for text in hook.get("tool_input", {}).values() if isinstance(text, str)]
    return f"{hook['tool_name']}: {given[0]}" if given else hook["tool_name"]


def read(text):
    """A hook. Its numbers are not used: the largest ones that JSON allows are no obstacle."""
    return json.loads(text, parse_int=float)


def publish(client, hook):
    describe = EVENTS.get(hook.get("hook_event_name"))
    if describe is None:
        return
    event_type, payload = describe(hook)
    payload = {name: text[:MOST] for name, text in payload.items()}
    # a tool call has an id: a hook that is sent twice is stored once
    call = hook.get("tool_use_id")
    given = {"event_id": f"{call}-{hook['hook_event_name']}"} if call else {}
    client.publish(event_type, payload, hook["session_id"], **given)


class Program:
    """Publishes with the program `relay`, wherever it is installed."""

    def publish(self, event_type, payload, task_id, **given):
        event = {"event_type": event_type, "payload": payload, "task_id": task_id, **given}
        subprocess.run(
            ["relay", "send", "-", "--wait", str(PATIENCE)],
            input=json.dumps(event).encode(),
            stdout=subprocess.DEVNULL,  # the agent reads what a hook prints
            check=False,  # `relay send` prints on stderr why it failed
        )


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
            publish(self.server.client, read(self.rfile.read(size)))
        except UNREADABLE:
            return self.answer(400)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def run_once():
    """Publishes the hook on stdin. The agent goes on, whatever happens here."""
    try:
        hook = read(sys.stdin.buffer.read())
        if Client is None:
            publish(Program(), hook)
        else:
            with Client() as client:
                publish(client, hook)
    except OSError:
        print("nothing is published: no program `relay` can be run here", file=sys.stderr)
    except UNREADABLE as problem:
        print(f"nothing is published: this is no hook ({problem!r:.200})", file=sys.stderr)


def listen(port):
    if Client is None:
        sys.exit("--listen needs Relay's Python package: pip install it as the README shows")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Client() as client, HTTPServer(("127.0.0.1", port), Hooks) as server:
        server.client = client
        print(f"listens on http://127.0.0.1:{server.server_port}/", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--listen"]:
        listen(int(sys.argv[2]))
    else:
        run_once()
