"""What Relay tells of itself: metrics, logs, and failures in words that are safe to keep."""
