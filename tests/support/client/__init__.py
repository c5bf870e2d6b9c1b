"""The client of the tests: HTTP, WebSocket and server-sent events.

`protocol` turns requests into bytes and bytes into responses, frames and blocks; it has no socket.
`connection`, `caller` and `streams` carry the bytes in trio, `blocking` in plain calls. Tests that
need broken bytes write them with `ClientConnection.send`.
"""
