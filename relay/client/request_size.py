"""How much one request may hold: less after a refusal, and more again after successes."""

from itertools import accumulate

from relay.client.outbox import BATCH_BYTES, BATCH_LINES

# Requests near the bound that must get through before it is doubled. A refusal of a doubled one
# doubles the number: a proxy's limit rarely changes, and each try sends up to 512 KiB in vain.
FIRST_STREAK, LONGEST_STREAK = 16, 1_024


class RequestSize:
    """The bounds of the next request, for one sender."""

    def __init__(self) -> None:
        self.lines = BATCH_LINES
        self.bytes = BATCH_BYTES
        self._streak = 0  # requests near the bound that got through, one after the other
        self._wanted_streak = FIRST_STREAK
        self._has_grown = False  # since the last refusal

    def fit(self, lines: list[bytes]) -> list[bytes]:
        """As many of the lines as fit into a request, at least one if there is any."""
        sizes = accumulate(map(len, lines))
        return lines[: max(1, sum(size <= self.bytes for size in sizes))][: self.lines]

    def halve_lines(self, lines: list[bytes]) -> None:
        """After a refusal for one of these lines: fewer at once, to find out which."""
        self.lines = max(1, len(lines) // 2)

    def halve_bytes(self, lines: list[bytes]) -> None:
        """After a proxy's refusal of these lines for their size."""
        if self._has_grown:
            self._wanted_streak = min(LONGEST_STREAK, self._wanted_streak * 2)
        self.bytes = sum(map(len, lines)) // 2
        self._streak, self._has_grown = 0, False

    def grow(self, lines: list[bytes]) -> None:
        """After these lines got through to Relay."""
        self.lines = min(BATCH_LINES, self.lines * 2)
        if self.bytes >= BATCH_BYTES or sum(map(len, lines)) * 2 < self.bytes:
            return  # much smaller requests say nothing about the limit
        self._streak += 1
        if self._streak >= self._wanted_streak:
            self.bytes = min(BATCH_BYTES, self.bytes * 2)
            self._streak, self._has_grown = 0, True
