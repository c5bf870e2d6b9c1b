"""Publishes each pytest run as a task: its progress, failures as they happen, and the result.

Copy it into your conftest.py, or save it as relay_pytest.py and run
`python -m pytest -p relay_pytest`.
Without credentials, without Relay or without the package `relay`, the tests run as always.
"""

import sys
from collections import Counter

import pytest

try:
    import relay
    from relay.client import Client, NoCredentials, NotDelivered
except ImportError:
    relay = None

WHY = {2: "interrupted", 3: "an error inside pytest", 4: "wrong usage", 5: "no tests"}


def pytest_configure(config):
    worker = hasattr(config, "workerinput")  # of pytest-xdist: its controller reports for all
    if relay is None or worker or config.option.collectonly:
        return
    try:
        client = Client(strict=True, tell=lambda _: None)  # problems are reported at the end
    except NoCredentials:
        return
    config.pluginmanager.register(Watched(config, client), "relay-watched")


class Watched:
    def __init__(self, config, client):
        self.client = client
        title = " ".join(["pytest", *config.invocation_params.args])
        self.task = relay.task(title[:200], client=client)
        self.total = 0
        self.done = set()
        self.outcomes = Counter()

    def pytest_sessionstart(self):
        self.task.start()

    def pytest_collection_finish(self, session):
        self.total = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        self.total = len(ids)  # all workers collect the same tests

    def pytest_collectreport(self, report):
        if report.failed:
            self.log_failure(report)

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1
        if report.failed:
            self.log_failure(report)
        if report.when == "teardown":
            self.done.add(report.nodeid)
            if self.total:
                self.task.progress(len(self.done) / self.total, self.result())

    def log_failure(self, report):
        self.task.log(f"FAILED {report.nodeid}\n{report.longreprtext}", level="error")

    def result(self):
        return ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())

    def pytest_sessionfinish(self, exitstatus):
        words = ", ".join(filter(None, [self.result(), WHY.get(int(exitstatus))]))
        end = self.task.fail if exitstatus else self.task.succeed
        end(words, exit_code=int(exitstatus))

    def pytest_unconfigure(self):
        try:
            self.client.close()  # waits five seconds at most; the rest is sent next time
        except NotDelivered as error:
            print(f"relay: {error}", file=sys.stderr)
