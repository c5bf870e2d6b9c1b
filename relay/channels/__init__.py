"""Channels: how notifications reach a person beside the page."""
