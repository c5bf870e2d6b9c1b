"""A worker that follows the supervisor's protocol and serves nothing.

python stand_in.py FOLDER --mark=MARK: the file of its place's number there says what it does.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def say(state: str, reason: str = "") -> None:
    print(json.dumps({"state": state, "reason": reason}), flush=True)


def live() -> None:
    while True:
        time.sleep(0.2)
        say("alive")


def wait_for_the_end() -> None:
    while True:
        signal.pause()


def leave_on_sigterm() -> None:
    signal.sigwait({signal.SIGTERM})
    os._exit(0)


def serve(folder: Path, number: int) -> None:
    # A handler would not run if the signal came right before the read of stdin began.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=leave_on_sigterm, daemon=True).start()
    say("serving")
    (folder / "somebody serves").touch()
    threading.Thread(target=live, daemon=True).start()
    for line in sys.stdin:
        when = "after it was let" if (folder / "let").exists() else "before"
        (folder / f"{number} received").write_text(f"{line.strip()}, {when}")


def main() -> None:
    worker_config = json.loads(sys.stdin.readline() or "null")
    if worker_config is None:
        return
    folder = Path(sys.argv[1])
    match (folder / str(worker_config["number"])).read_text():
        case "serve":
            serve(folder, worker_config["number"])
        case "serve when let":
            while not (folder / "let").exists():
                time.sleep(0.01)
            serve(folder, worker_config["number"])
        case "serve and fall silent":
            say("serving")
            wait_for_the_end()
        case "end like one that a terminal ends":
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            (folder / "waits").touch()
            signal.sigwait({signal.SIGTERM})
            signal.raise_signal(signal.SIGINT)
        case "fail when another serves":
            while not (folder / "somebody serves").exists():
                time.sleep(0.01)
            say("failed", "a reason")
            sys.exit(1)
        case "fail":
            say("failed", "a reason")
            sys.exit(1)
        case "fail and stay":
            say("failed", "a reason")
            wait_for_the_end()
        case "say nothing":
            wait_for_the_end()


if __name__ == "__main__":
    main()
