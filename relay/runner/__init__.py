"""A command that Relay watches: it runs as if nobody looked, and what it says is told."""
