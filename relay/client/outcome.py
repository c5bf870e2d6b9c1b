"""What became of the events of a client: what it returns, or raises if it is strict."""

import msgspec


class Outcome(msgspec.Struct, frozen=True):
    """How many events were published, and how many not delivered: kept on disk, lost, refused."""

    kept: int = 0
    lost: int = 0
    refused: int = 0
    why: str | None = None
    published: int = 0

    @property
    def delivered(self) -> bool:
        return not (self.kept or self.lost or self.refused)

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what

    @property
    def what(self) -> str:
        """The text without the reason."""
        if self.delivered and not self.published:
            return "nothing was published"
        if self.delivered:
            return "everything is delivered"
        parts = [
            f"{_events(self.kept)} not delivered yet, saved for the next run",
            f"{_events(self.lost)} lost",
            f"{_events(self.refused)} refused",
        ]
        counts = (self.kept, self.lost, self.refused)
        return ", ".join(part for part, count in zip(parts, counts, strict=True) if count)


class NotDelivered(Exception):
    """Raised when a strict client is closed and an event was not delivered."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"
