"""Lines out of blocks of bytes, as a terminal would have left them standing."""

import codecs
import re

from relay.runner.redaction import Mask

LINE_MOST = 32 * 2**10  # characters; a longer line is told in pieces
QUIET = 1.0  # seconds; a line without an end is told after so long: it may be a question

_RETURNS = re.compile(r"\r+\n")
_ALTERNATE = re.compile(r"\x1b\[\?(?:1049|1047|47)([hl])")


class Lines:
    """One stream's lines. Secrets are masked before anything is cut."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._since = 0.0
        self._continued = False  # the beginning of this line is told already
        self._full_screen = False

    @property
    def unfinished(self) -> bool:
        return bool(self._rest)

    def feed(self, block: bytes, now: float) -> tuple[str | None, str | None]:
        """The lines that are whole now, and what stands on a line that is written over."""
        text = self._rest + self._letters(self._decode(block))
        if "\r" in text:
            text = _RETURNS.sub("\n", text)
        whole, newline, self._rest = text.rpartition("\n")
        self._since = now
        lines = self._left_standing(whole) if newline else None
        if newline and self._continued:
            self._continued = False
            lines = lines or None  # the end of a line whose beginning was told
        bar = None
        if "\r" in self._rest:
            bar = self._written_over()
        elif len(self._rest) > LINE_MOST:
            piece = self._told_so_far()
            lines = piece if lines is None else f"{lines}\n{piece}"
        return (
            None if lines is None else self._mask(lines),
            None if bar is None else self._mask(bar),
        )

    def quiet(self, now: float) -> str | None:
        """The line that has no end yet, when nothing more has come for a while."""
        if not self._rest or "\r" in self._rest or now - self._since < QUIET:
            return None
        self._since = now
        return self._mask(self._told_so_far()) or None

    def end(self) -> str | None:
        """What stands there when nothing more will come."""
        text, self._rest = self._rest + self._decode(b"", True), ""
        return self._mask(self._left_standing(text)) or None

    def _told_so_far(self) -> str:
        """The line as far as it came, but for what may be half a secret."""
        self._rest = self._mask(self._rest)
        cut = len(self._rest) - self._mask.unsure(self._rest)
        told, self._rest = self._rest[:cut], self._rest[cut:]
        self._continued = self._continued or bool(told)
        return told

    def _left_standing(self, text: str) -> str:
        """What was written over is gone: of each line the last writing stays."""
        if "\r" not in text:
            return text
        return "\n".join(_last_writing(line) for line in text.split("\n"))

    def _written_over(self) -> str | None:
        """The last writing on the line; what was there before is forgotten."""
        start = self._rest.rstrip("\r").rfind("\r")
        if start > 0:
            self._rest = self._rest[start:]
        self._rest = self._rest[-LINE_MOST:]
        return _last_writing(self._rest) or None

    def _letters(self, text: str) -> str:
        """Without what a full-screen program paints: it is no log."""
        if not self._full_screen and "\x1b[?" not in text:
            return text
        kept, at = [], 0
        for switch in _ALTERNATE.finditer(text):
            if not self._full_screen:
                kept.append(text[at : switch.start()])
            self._full_screen = switch[1] == "h"
            at = switch.end()
        if not self._full_screen:
            kept.append(text[at:])
        return "".join(kept)


def _last_writing(line: str) -> str:
    return next((part for part in reversed(line.split("\r")) if part), "")
