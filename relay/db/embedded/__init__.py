"""The embedded Postgres, used when DATABASE_URL is not set. It is private to a data folder.

The data folder holds all of its files:

    .relay/
    ├── lock                held by one Relay at a time; contains its process id
    ├── postgres/           the cluster and, while it runs, its socket
    ├── postgres.password   the password of the role `relay`
    ├── postgres.log        the log of this run; `postgres.log.1` is that of the run before
    └── socket              the path of the socket's folder, if `postgres/` is too long for one
"""

from .accounts import Account
from .errors import EmbeddedError
from .folder import sync_folder
from .server import EmbeddedPostgres, find_running_dsn, running_postgres

__all__ = [
    "Account",
    "EmbeddedError",
    "EmbeddedPostgres",
    "find_running_dsn",
    "running_postgres",
    "sync_folder",
]
