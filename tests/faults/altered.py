"""Relay with some of its constants altered: `python -m tests.faults.altered serve`.

What has two ways of coming, a notification and a look a second, is shown to come by the first
where the second is put off for an hour.
"""

import importlib
import json
import os

ALTERED = "TEST_ALTERED"  # JSON: names of constants with their modules, and what they are to be


def main() -> None:
    from relay.cli.main import main as relay

    for name, value in json.loads(os.environ[ALTERED]).items():
        module, _, constant = name.rpartition(".")
        found = importlib.import_module(module)
        assert hasattr(found, constant), name
        setattr(found, constant, value)
    relay()


if __name__ == "__main__":
    main()
