"""Layers around the whole application: access log, security headers, proxy headers."""
