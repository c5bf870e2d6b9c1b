"""The connection cap fits the limit on open files."""

import resource
import subprocess
import sys

import pytest

# (allowed, most, connections, refusals) of a process that wants 1 000 and 100, and 64 elsewhere
CASES = [
    (2_000, 2_000, 1_000, 100),
    (100, 2_000, 1_000, 100),  # it raises its own allowance as far as it needs
    (100, 700, 557, 79),
    (700, 700, 557, 79),
    (70, 70, 5, 1),
]
SCRIPT = """
import resource
from relay.server.limits import ConnectionLimits
from relay.server.descriptors import fit_to_descriptor_limit
limits = fit_to_descriptor_limit(ConnectionLimits(max_connections=1_000, max_refusals=100))
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
    assert got + turned_away + 64 <= raised <= most
