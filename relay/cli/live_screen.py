"""A part of the terminal that is drawn anew, several times a second."""

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

REFRESHES_PER_SECOND = 4  # times a second, for the elapsed times


def new_console() -> Console:
    return Console(highlight=False, emoji=False)


class LiveScreen:
    """A context manager. It draws only if stdout is a terminal.

    `transient`: nothing of what was drawn stays. `status` is about the connection.
    """

    def __init__(self, console: Console | None = None, *, transient: bool) -> None:
        self._console = console or new_console()
        self._transient = transient
        self._live: Live | None = None
        self.status = "connecting"

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._render,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=self._transient,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def set_status(self, status: str) -> None:
        self.status = status

    def _render(self) -> RenderableType:
        """What to draw. It is called on a thread of its own."""
        raise NotImplementedError
