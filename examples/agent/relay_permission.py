"""Asks you on Relay when a coding agent needs a permission.

Claude Code runs it as a PermissionRequest hook, with the call as JSON on stdin. It allows or denies
only what you have answered on Relay. After 30 seconds without an answer, and whenever anything goes
wrong, it prints nothing and exits with 0, so the agent's own prompt decides.

With `--task` the question belongs to the session's task, which relay_hook.py begins and ends.

It needs the standard library and the program `relay`, which has to be in the PATH.
"""

import json
import signal
import subprocess
import sys
from types import SimpleNamespace

ANSWER_SECONDS = 30  # for which you are waited for; Relay allows 10 and more
RELAY_SECONDS = 3  # for a Relay that is away
END_SECONDS = ANSWER_SECONDS + 10  # for all of it; the settings stop the hook after 60
DETAILS_MOST = 16 * 1024  # bytes that Relay shows beside a question
QUESTION_MOST = 200  # characters of a call in the question; the details have all of it
ALLOW, DENY = "Allow", "Deny"
OWN_QUESTIONS = (
    "AskUserQuestion",
    "ExitPlanMode",
)  # these have more choices
SHOWN = ("command", "file_path", "notebook_path", "url", "query", "pattern")
UNREADABLE = (ValueError, KeyError, AttributeError, TypeError, RecursionError)  # not such a hook


class NotAsked(Exception):
    """Why the agent's own prompt has to decide."""


def read(text):
    """What a hook asks: the session, the question, its details; None if it is not for Relay."""
    hook = json.loads(text)
    if hook["hook_event_name"] != "PermissionRequest" or hook["tool_name"] in OWN_QUESTIONS:
        return None
    given = dict(hook["tool_input"])
    details = {"tool": hook["tool_name"], "input": given, "folder": hook["cwd"]}
    shown = [given[name] for name in SHOWN if name in given]
    call = ": ".join([hook["tool_name"], *shown[:1]])
    return SimpleNamespace(
        session=hook["session_id"], question=f"Allow {one_line(call)}?", details=encode(details)
    )


def one_line(text):
    """The text without control characters, and with a mark where it goes on."""
    line = "".join(one if one.isprintable() else " " for one in text)
    return line if len(line) <= QUESTION_MOST else f"{line[:QUESTION_MOST]}…"


def encode(details):
    """All that the call would do. Raises NotAsked where Relay could not show all of it."""
    text = json.dumps(details, ensure_ascii=False, allow_nan=False).encode()
    if len(text) > DETAILS_MOST:
        raise NotAsked("the call is too large to be shown")
    return text


def ask(call):
    """What was answered; None without an answer. A signal withdraws the question."""
    command = ["relay", "ask", call.question, "--options", f"{ALLOW},{DENY}", "--details", "-"]
    command += ["--json", "--timeout", f"{ANSWER_SECONDS}s", "--wait", str(RELAY_SECONDS)]
    if "--task" in sys.argv[1:]:
        command += ["--task-id", call.session]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        try:
            output, _ = asking.communicate(call.details, timeout=END_SECONDS)
        except BaseException:
            asking.terminate()
            raise
    if asking.returncode not in (0, 1):  # no answer in time, withdrawn, or not asked at all
        return None
    outcome = json.loads(output)
    return outcome["answer"] if outcome["state"] == "answered" else None


def decision(answer):
    """The output of the hook for an answer of yours."""
    denied = {"behavior": "deny", "message": "The user has denied this on Relay."}
    decided = {"behavior": "allow"} if answer == ALLOW else denied
    return {"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": decided}}


def main():
    # the agent needs no answer any more
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        call = read(sys.stdin.buffer.read())
        answer = ask(call) if call else None
        if answer in (ALLOW, DENY):
            print(json.dumps(decision(answer)))
    except NotAsked as reason:
        print(f"not asked on Relay: {reason}", file=sys.stderr)
    except UNREADABLE as problem:
        print(f"not asked on Relay: this is no hook ({problem!r:.200})", file=sys.stderr)
    except (OSError, subprocess.SubprocessError):
        print("not asked on Relay: no program `relay` that answers can be run", file=sys.stderr)


if __name__ == "__main__":
    main()
