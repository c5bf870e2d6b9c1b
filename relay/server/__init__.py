"""An HTTP/1.1 and WebSocket server for ASGI applications, bounded against hostile clients."""
