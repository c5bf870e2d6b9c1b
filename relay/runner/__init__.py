"""A command that Relay watches: it runs as it would without, and its output becomes events."""
