"""Metrics, logs, and reports of exceptions without private data."""
