"""Callbacks for connection events. They are logged here, and counted by a subclass."""

import logging

import structlog

log = structlog.get_logger("relay.server")


class Observer:
    """Methods that the server calls on connection events. Overrides call `super()`.

    They run in the connection's task, so they must return at once and not raise.
    """

    def connection_opened(self) -> None:
        """A connection was admitted."""

    def connection_closed(self) -> None:
        """It ended; called exactly once for each `connection_opened`."""

    def connection_refused(self) -> None:
        """A connection was refused at the cap, and never opened."""
        log.debug("connection_refused")

    def connection_displaced(self) -> None:
        """A connection that waited for a request was closed to admit another one at the cap."""

    def connection_stalled(self) -> None:
        """A connection was cut because its reader made no progress."""
        log.info("connection_stalled")

    def connection_failed(self, failure: BaseException) -> None:
        """Serving a connection failed unexpectedly, and ended that connection."""
        log.error("connection_failed", exc_info=failure)

    def application_failed(self, failure: BaseException) -> None:
        """The application raised an exception."""
        log.error("application_failed", exc_info=failure)

    def request_refused(self, status: int, code: str, request_id: str) -> None:
        """The server answered in place of the application."""
        level = logging.ERROR if status == 500 else logging.DEBUG
        log.log(level, "request_refused", status=status, code=code, request_id=request_id)
