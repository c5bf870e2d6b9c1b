"""A model checks random sequences of operations: isolation, order, exactly once, gaps, revokes."""

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.examples import examples
from tests.support.model.machine import Machine
from tests.support.model.reader import House
from tests.support.relay_server import relay_in_thread

HEARTBEAT = 0.2  # seconds: pings and comments between everything else
ENVIRON = {
    "RELAY_HEARTBEAT": str(HEARTBEAT),
    "RELAY_IDLE_TIMEOUT": "600",  # a client that reads nothing sends no sign of life either
    "RELAY_SEND_TIMEOUT": "600",  # the machine decides for how long a reader stalls
    "RELAY_HOUSEKEEPING_EVERY": "0.1",
    "RELAY_MAX_CONNECTIONS_PER_USER": "1000",
    "RELAY_MAX_CONNECTIONS_PER_ADDRESS": "10000",
    "RELAY_RATE_LIMITS": "off",
}
RETENTION = pytest.mark.parametrize(
    "retention", [40, 1_000_000], ids=["trimmed-all-the-time", "everything-kept"]
)
ALWAYS_MET = {
    *("event by websocket", "event by sse", "page", "duplicate", "crowd"),
    *("hello: fresh", "hello: resumed", "hello: epoch", "hello: ahead"),
    *("ended: revoked", "ended: expired", "refused: 401", "refused: 403"),
}
BASIC = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


def run(database_url: str, retention: int, seeds: Iterable[int], given: settings) -> Counter[str]:
    """Run the machine on a Relay of its own; returns how often it met what.

    Each seed is a search of its own: one search soon repeats its own stories with small changes.
    """
    tally: Counter[str] = Counter()
    environ = {**ENVIRON, "RELAY_RETENTION_EVENTS": str(retention)}
    with relay_in_thread(database_url, **environ) as port:
        for number in seeds:

            @seed(number)
            class Relay(Machine):
                pass

            Relay.house = House(port, HEARTBEAT, retention)
            Relay.tally = tally
            Relay.with_expiry = number % 4 == 0
            Relay.with_flood = number % 4 == 1
            try:
                run_state_machine_as_test(Relay, settings=given)
            except BaseException as error:
                error.add_note(f"This was seed {number}.")
                raise
    return tally


@RETENTION
def test_any_sequence_of_operations_keeps_every_promise(database_url: str, retention: int) -> None:
    # of two stories the first is the simplest there is; a failure tells its story unabridged
    given = settings(BASIC, max_examples=2, stateful_step_count=45, phases=[Phase.generate])
    tally = run(database_url, retention, range(examples(32)), given)
    assert set(tally) >= ALWAYS_MET, f"never met: {ALWAYS_MET - set(tally)}"


@pytest.mark.soak
@RETENTION
def test_long_random_sequences_keep_every_promise(database_url: str, retention: int) -> None:
    phases = [Phase.generate, Phase.shrink]
    given = settings(BASIC, max_examples=10, stateful_step_count=60, phases=phases)
    seeds = [random.randrange(2**32) for _ in range(20)]
    run(database_url, retention, seeds, given)
