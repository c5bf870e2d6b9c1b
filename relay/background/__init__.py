"""Work beside requests: retention, process metrics, and whether a process is healthy."""
