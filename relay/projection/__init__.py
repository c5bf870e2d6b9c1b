"""Keeps the stored tasks up to date with the journal, beside the way of an event."""
