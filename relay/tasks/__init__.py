"""Tasks: the state that follows from a user's events. Pure: no database, no sockets."""
