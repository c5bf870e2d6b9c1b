"""The connection cap fits the limit on open files."""

import resource
import subprocess
import sys

import pytest

from relay.channels.connections import MAX_IDLE_CONNECTIONS
from relay.channels.outbound import MAX_RESOLVING
from relay.channels.senders import SENT_AT_ONCE
from relay.db.source import CONNECTIONS_OUTSIDE_POOL
from relay.serving import RESERVED_DESCRIPTORS

DESCRIPTORS_OF_LOOP = 3  # trio's and the database's thread have one each
STANDARD_STREAMS = 3
LISTENERS = 8  # of two protocols, with TLS and without it, and as many to spare
NODES = 20  # of a Valkey

# (allowed, most, connections, refusals) of a process that wants 1 000 and 100, and 256 elsewhere
CASES = [
    (2_000, 2_000, 1_000, 100),
    (100, 2_000, 1_000, 100),  # it raises its own allowance as far as it needs
    (100, 700, 389, 55),
    (700, 700, 389, 55),
    (70, 70, 31, 4),  # it cannot have as many elsewhere: that is half
]
SCRIPT = """
import resource
from relay.server.limits import ConnectionLimits
from relay.server.descriptors import fit_to_descriptor_limit
limits = fit_to_descriptor_limit(ConnectionLimits(max_connections=1_000, max_refusals=100), 256)
allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
print(limits.max_connections, limits.max_refusals, allowed)
"""


@pytest.mark.parametrize(("allowed", "most", "connections", "refusals"), CASES)
def test_connections_and_refusals_fit(
    allowed: int, most: int, connections: int, refusals: int
) -> None:
    limit = (resource.RLIMIT_NOFILE, (allowed, most))
    output = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=True,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(*limit),
    ).stdout.split()
    got, turned_away, raised = (int(number) for number in output)
    assert (got, turned_away) == (connections, refusals)
    assert got + turned_away + min(256, raised // 2) <= raised <= most


def test_what_the_rooms_may_have_open_at_once_is_reserved() -> None:
    receivers = SENT_AT_ONCE + MAX_IDLE_CONNECTIONS
    lookups = 2 * MAX_RESOLVING  # a thread asks by two protocols, or two servers
    others = 2 * DESCRIPTORS_OF_LOOP + STANDARD_STREAMS + LISTENERS + NODES
    assert receivers + lookups + CONNECTIONS_OUTSIDE_POOL + others <= RESERVED_DESCRIPTORS
