"""Runs a command and turns its output into events, without changing how the command behaves."""
