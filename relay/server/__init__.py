"""An HTTP/1.1 and WebSocket server for ASGI applications, with bounds against hostile clients."""
