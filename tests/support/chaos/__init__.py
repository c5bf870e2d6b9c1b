"""Three Relays on a Valkey cluster and a Postgres, while processes die and ways between them close.

`python -m tests.support.chaos --help` (`make chaos`).
"""
