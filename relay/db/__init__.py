"""Everything that is stored: queries, connections, migrations, and the embedded Postgres."""
