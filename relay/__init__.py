"""Relay: webhook events in, one private, durable, resumable live stream per user out."""

from importlib.metadata import version

__version__ = version("relay")
