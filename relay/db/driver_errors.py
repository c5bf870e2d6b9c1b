"""Errors of the driver: which mean that the database is away, and how its callbacks' are logged."""

import ssl
from typing import Any

import asyncpg
import structlog
import trio

log = structlog.get_logger("relay.database")

UNAVAILABLE_ERRORS = (
    OSError,
    TimeoutError,
    trio.TooSlowError,
    EOFError,
    ssl.SSLError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # 57: shut down, crashed, starting, cancelled
    asyncpg.InsufficientResourcesError,  # 53: disk full, too many connections
    asyncpg.PostgresSystemError,  # 58: its own input and output fail
    asyncpg.TransactionRollbackError,  # 40: try again
    asyncpg.ReadOnlySQLTransactionError,  # 25006: a standby, for the length of a fail-over
    asyncpg.InvalidAuthorizationSpecificationError,  # 28: the role or its password was changed
    asyncpg.InvalidCatalogNameError,  # 3D000: the database does not exist (any more)
)


def report_driver_error(_loop: object, context: dict[str, Any]) -> None:
    """Log an error of a callback of the driver; asyncio's own handler would write to stderr."""
    error = context.get("exception")
    log.warning("driver_error", message=context.get("message"), exc_info=error)
