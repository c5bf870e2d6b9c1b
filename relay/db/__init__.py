"""The database: queries, connections, migrations, and the embedded Postgres."""
