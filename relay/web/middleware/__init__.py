"""ASGI middleware around the application: proxy headers, access log, CORS, security headers."""
