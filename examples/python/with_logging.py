"""A program that uses logging. Relay shows its log records with their levels.

pip install https://relay.example.com/install/relay_streams-0.1.0-py3-none-any.whl
python with_logging.py
"""

import logging

import relay
from relay.client import LogHandler

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")

ROWS = ["apple,3", "pear,four", "plum,5"]


def amount(row: str) -> int:
    name, _, count = row.partition(",")
    log.debug("reading %s", name)
    return int(count)


with relay.task("Import the orders") as task:
    logging.getLogger().addHandler(LogHandler(task, logging.INFO))
    total = 0
    for row in task.track(ROWS):
        try:
            total += amount(row)
        except ValueError:
            log.warning("left out: %s", row)
    log.info("%d pieces ordered", total)
