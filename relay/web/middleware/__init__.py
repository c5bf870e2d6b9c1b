"""Rings of plain ASGI around the application: proxy headers, access log, CORS, security headers."""
