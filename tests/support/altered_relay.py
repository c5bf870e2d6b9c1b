"""Relay with some of its constants altered: `python -m tests.support.altered_relay serve`,
or any other command.

What has two ways of coming, a notification and a look a second, is shown to come by the first
where the second is put off for an hour. Its workers are altered in the same way. And its host's
clock may be set wrong.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from relay.cli.unused_packages import without_unused_packages

ALTERED = "TEST_ALTERED"  # JSON: names of constants with their modules, and what they are to be
CLOCK_AHEAD = "clock ahead"  # among them: by how many seconds the host's clock is wrong


def set_clock(ahead: float) -> None:
    """Let the wall clock be this many seconds ahead, before a module has imported it."""
    from relay import events

    true_time = time.time
    vars(time)["time"] = lambda: true_time() + ahead
    vars(events)["utc_now"] = lambda: datetime.now(UTC) + timedelta(seconds=ahead)


def run() -> None:
    altered = json.loads(os.environ[ALTERED])
    if ahead := altered.pop(CLOCK_AHEAD, 0.0):
        set_clock(ahead)
    if sys.argv[1].startswith("--mark="):
        from relay.cli import worker

        start: Callable[[], None] = worker.main
    else:
        from relay.cli import main

        start = main.main
    if sys.argv[1] == "serve":
        with without_unused_packages():
            from relay.cli import serve

        assert "WORKER_COMMAND" in vars(serve)
        vars(serve)["WORKER_COMMAND"] = (sys.executable, "-m", "tests.support.altered_relay")
    for name, value in altered.items():
        module, _, constant = name.rpartition(".")
        found = importlib.import_module(module)
        assert hasattr(found, constant), name
        setattr(found, constant, value)
    start()


if __name__ == "__main__":
    run()
