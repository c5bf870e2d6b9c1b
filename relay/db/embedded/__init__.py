"""Relay's own Postgres, for whoever sets no DATABASE_URL: a real one, private to a data folder.

A data folder holds everything there is to keep or to delete:

    .relay/
    ├── lock                one Relay at a time; names the process that holds it
    ├── postgres/           the cluster and, while it runs, its socket
    ├── postgres.password   of the role `relay`
    ├── postgres.log        of this run; `postgres.log.1` is of the one before
    └── socket              only when the path above is too long for a socket: where it is instead
"""

from .accounts import Account
from .errors import EmbeddedError
from .server import EmbeddedPostgres, running_beside, running_postgres

__all__ = ["Account", "EmbeddedError", "EmbeddedPostgres", "running_beside", "running_postgres"]
