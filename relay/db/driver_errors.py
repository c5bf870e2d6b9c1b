"""The errors of the driver and of the network that mean: the database is not available now."""

import ssl

import asyncpg
import trio

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
