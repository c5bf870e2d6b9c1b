"""Why events wait or are not delivered, and what of it the user has been shown."""

from collections.abc import Callable

from relay.client.post_answers import NotRelay, Refused, RetryLater

Tell = Callable[[str], None]


class Trouble:
    """The trouble of one sender. Each problem that needs a person is reported once."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._current: str | None = None  # why the last attempt failed
        self._set_aside: str | None = None  # why events were set aside
        self._event_refusal_reported = False
        self.is_reported = False  # whether `tell` was called with the current one
        self.is_final = False  # nothing more can be sent
        self.refused = 0  # events

    @property
    def reason(self) -> str | None:
        """Why events wait, as far as it is known."""
        return self._current or self._set_aside

    def clear(self) -> None:
        """Relay took events."""
        self._current = None
        self.is_reported = False

    def wait(self, answer: RetryLater | NotRelay) -> None:
        """An attempt failed. Another program at the address is reported, once."""
        self._current = answer.why
        if isinstance(answer, NotRelay) and not self.is_reported:
            self.is_reported = True
            self._tell(answer.why)

    def set_aside(self, answer: NotRelay) -> None:
        """An event waits for the next run: another program refuses it."""
        self.wait(answer)
        self._set_aside = answer.why

    def refuse(self, answer: Refused | NotRelay) -> None:
        """An event is refused for good. The first one is reported."""
        self.refused += 1
        if not self._event_refusal_reported:
            self._event_refusal_reported = True
            self._tell(answer.why)

    def stop(self, why: str) -> None:
        """Nothing more can be sent."""
        self.is_final = self.is_reported = True
        self._current = why
        self._tell(why)
