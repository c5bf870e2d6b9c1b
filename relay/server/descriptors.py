"""How many connections the operating system lets a process have."""

import resource
from dataclasses import replace

from .limits import ConnectionLimits

ELSEWHERE = 64
"""Descriptors for all but the server's connections: the database's, pipes, files, listeners."""


def fitted(limits: ConnectionLimits) -> ConnectionLimits:
    """The limits, lowered to the descriptors this process may open; raises its soft limit first.

    A process out of descriptors can accept no connection, not even to refuse it, and reaches no
    database.
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
