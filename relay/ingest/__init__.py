"""Ingestion: events are parsed, validated, stored and published."""
