"""Background tasks: retention, process metrics, and the health of these tasks."""
