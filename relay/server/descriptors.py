"""Fit the connection limits to the process's limit of file descriptors."""

import resource

from msgspec.structs import replace

from .limits import ConnectionLimits


def fit_to_descriptor_limit(limits: ConnectionLimits, reserved: int) -> ConnectionLimits:
    """Raise the soft limit of descriptors if needed, and lower the limits to what it allows.

    `reserved` are for everything but the server's connections. Where not even twice as many are
    allowed, it is half of those: a process with few serves some connections at least.

    A process without free descriptors cannot accept connections, not even to refuse them, and
    cannot connect to the database.
    """
    wanted = limits.max_connections + limits.max_refusals + reserved
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft_limit == resource.RLIM_INFINITY or soft_limit >= wanted:
        return limits
    raised = wanted if hard_limit == resource.RLIM_INFINITY else min(wanted, hard_limit)
    if raised > soft_limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard_limit))
    allowed = max(raised, soft_limit)
    available = allowed - min(reserved, allowed // 2)
    refusals = max(1, min(limits.max_refusals, available // 8))
    connections = max(1, min(limits.max_connections, available - refusals))
    return replace(limits, max_connections=connections, max_refusals=refusals)
