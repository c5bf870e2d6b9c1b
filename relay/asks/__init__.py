"""Asks: questions of programs that a person answers."""
