"""Turns blocks of bytes into lines, as a terminal finally shows them."""

import codecs
import re
from collections.abc import Iterable

from relay.runner.alternate_screen import MainScreen
from relay.runner.redaction import Mask
from relay.runner.screen import Released, Screen, start_of_movement
from relay.runner.superseded import without_superseded

MAX_LINE = 32 * 2**10  # characters; a longer line is returned in pieces
QUIET_SECONDS = 1.0  # until a line without an end is returned: it may be a question
# Until lines that have been written over are returned, when the cursor is below them. Programs
# that pull or train write them again after a few seconds.
REDRAW_SECONDS = 5.0

_RETURNS = re.compile(r"\r+\n")


class LineSplitter:
    """One stream's lines. Secrets are masked before anything is cut."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._main = MainScreen()
        self._screen = Screen()  # has a line without an end, if it was written over
        self._rest = ""  # has it otherwise
        self._since = 0.0
        self._continued = False  # the beginning of this line has been returned already

    @property
    def unfinished(self) -> bool:
        """Whether a line has begun that has no end yet, or may still be written over."""
        return bool(self._rest) or self._screen.active

    def feed(self, block: bytes, now: float) -> tuple[str | None, str | None]:
        """Take a block that came at `now` (monotonic seconds).

        Returns the lines that are finished, without the last newline, and the last state of the
        lines that are written over, such as progress bars. None: there is none.
        """
        self._since = now
        return self._read(self._main.part_of(self._decode(block)))

    def quiet(self, now: float) -> str | None:
        """What waits for its end, when nothing has come for QUIET_SECONDS; else None.

        Lines that are written over wait for REDRAW_SECONDS.
        """
        if self._screen.active:
            if not self._screen.settled or now - self._since < REDRAW_SECONDS:
                return None
            return self._masked(_texts(self._screen.settle()))
        if not self._rest or now - self._since < QUIET_SECONDS:
            return None
        self._since = now
        return self._take_piece() or None

    def end(self) -> tuple[str | None, str | None]:
        """The rest, as from `feed`, when nothing more comes."""
        text = self._main.part_of(self._decode(b"", True))
        lines, bars = self._read(text)
        last = self._main.end()
        more, _ = self._read(f"\n{last}" if last and self.unfinished else last)
        lines = _joined(lines, more)
        released = self._screen.settle()
        bars = self._masked_bars(released) or bars
        rest = [self._mask(self._rest)] if self._rest else []
        self._rest = ""
        found = [*([] if lines is None else [lines]), *map(self._mask, _texts(released)), *rest]
        return "\n".join(found) if found else None, bars

    def _read(self, text: str) -> tuple[str | None, str | None]:
        """The lines and the bars of a text on the main screen."""
        if not self._screen.active:
            text, self._rest = self._rest + text, ""
        if "\r" in text:
            text = text.replace("\r\n", "\n")
            if "\r\n" in text:
                text = _RETURNS.sub("\n", text)
        lines: list[str] = []
        bars: list[Released] = []
        drawn, at = False, 0
        while at < len(text):
            if not self._screen.active:
                moved = start_of_movement(text, at)
                start = text.rfind("\n", at, moved) + 1
                if start:
                    lines.append(text[at : start - 1])
                    self._screen.scroll(lines[-1].count("\n") + 1)
                    at = start
                if moved == len(text):
                    self._rest = text[at:]
                    break
            end = text.find("\n", at) + 1 or len(text)
            released = self._screen.feed(without_superseded(text[at:end]))
            lines += _texts(released)
            bars += released
            drawn, at = True, end
        found = self._masked(lines)
        bar = self._masked_bars(bars) if drawn else None
        return _joined(found, self._shorten()), bar

    def _shorten(self) -> str | None:
        """The piece of a line that has become too long; else None."""
        if self._screen.longest > MAX_LINE:
            released = _texts(self._screen.settle())
            self._rest = released.pop()
            return _joined(self._masked(released), self._take_piece() or None)
        return (self._take_piece() or None) if len(self._rest) > MAX_LINE else None

    def _take_piece(self) -> str:
        """The line so far, except the part that may be the beginning of a secret."""
        cut = self._mask.safe_cut(self._rest)
        piece, self._rest = self._rest[:cut], self._rest[cut:]
        self._continued = self._continued or bool(piece)
        return self._mask(piece)

    def _masked(self, lines: Iterable[str]) -> str | None:
        """The lines as one text. The end of a line that was returned in part may be empty."""
        found = list(lines)
        if not found:
            return None
        text = "\n".join(found)
        if self._continued:
            self._continued = False
            if not text:
                return None
            text = text.removeprefix("\n")
        return self._mask(text)

    def _masked_bars(self, released: list[Released]) -> str | None:
        bars = self._screen.bars(released)
        return None if bars is None else self._mask(bars)


def _texts(released: Iterable[Released]) -> list[str]:
    return [line.text for line in released]


def _joined(first: str | None, second: str | None) -> str | None:
    return second if first is None else first if second is None else f"{first}\n{second}"
