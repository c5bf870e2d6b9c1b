"""Relay with some of its constants altered: `python -m tests.support.altered_relay serve`,
or any other command.

What has two ways of coming, a notification and a look a second, is shown to come by the first
where the second is put off for an hour. Its workers are altered in the same way.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable

ALTERED = "TEST_ALTERED"  # JSON: names of constants with their modules, and what they are to be


def run() -> None:
    if sys.argv[1].startswith("--mark="):
        from relay.cli import worker

        start: Callable[[], None] = worker.main
    else:
        from relay.cli import main

        start = main.main
    if sys.argv[1] == "serve":
        from relay.cli import serve

        assert "WORKER_COMMAND" in vars(serve)
        vars(serve)["WORKER_COMMAND"] = (sys.executable, "-m", "tests.support.altered_relay")
    for name, value in json.loads(os.environ[ALTERED]).items():
        module, _, constant = name.rpartition(".")
        found = importlib.import_module(module)
        assert hasattr(found, constant), name
        setattr(found, constant, value)
    start()


if __name__ == "__main__":
    run()
