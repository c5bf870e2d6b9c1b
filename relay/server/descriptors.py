"""Fit the connection limits to the process's limit of file descriptors."""

import resource
from dataclasses import replace

from .limits import ConnectionLimits

ELSEWHERE = 64
"""Descriptors reserved for everything but the server's connections: database, pipes, files."""


def fit_to_descriptor_limit(limits: ConnectionLimits) -> ConnectionLimits:
    """Raise the soft limit of descriptors if needed, and lower the limits to what it allows.

    A process without free descriptors cannot accept connections, not even to refuse them, and
    cannot connect to the database.
    """
    wanted = limits.max_connections + limits.max_refusals + ELSEWHERE
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY or allowed >= wanted:
        return limits
    raised = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    if raised > allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, most))
    left = max(raised, allowed) - ELSEWHERE
    refusals = max(1, min(limits.max_refusals, left // 8))
    connections = max(1, min(limits.max_connections, left - refusals))
    return replace(limits, max_connections=connections, max_refusals=refusals)
