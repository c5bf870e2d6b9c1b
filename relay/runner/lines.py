"""Turns blocks of bytes into lines, as a terminal finally shows them."""

import codecs
import re

from relay.runner.redaction import Mask

MAX_LINE = 32 * 2**10  # characters; a longer line is returned in pieces
QUIET_SECONDS = 1.0  # until a line without an end is returned: it may be a question

_RETURNS = re.compile(r"\r+\n")
_ALTERNATE = re.compile(r"\x1b\[\?(?:1049|1047|47)([hl])")


class LineSplitter:
    """One stream's lines. Secrets are masked before anything is cut."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._since = 0.0
        self._continued = False  # the beginning of this line has been returned already
        self._full_screen = False

    @property
    def unfinished(self) -> bool:
        """Whether a line has begun that has no end yet."""
        return bool(self._rest)

    def feed(self, block: bytes, now: float) -> tuple[str | None, str | None]:
        """Take a block that came at `now` (monotonic seconds).

        Returns the lines that are complete now, without the last newline, and the last state of a
        line that is overwritten, such as a progress bar. None: there is none.
        """
        text = self._rest + self._without_full_screen(self._decode(block))
        if "\r" in text:
            text = _RETURNS.sub("\n", text)
        whole, newline, self._rest = text.rpartition("\n")
        self._since = now
        lines = self._visible(whole) if newline else None
        if newline and self._continued:
            self._continued = False
            lines = lines or None  # the end of a line that was returned in part
        bar = None
        if "\r" in self._rest:
            bar = self._overwritten()
        elif len(self._rest) > MAX_LINE:
            piece = self._take_piece()
            lines = piece if lines is None else f"{lines}\n{piece}"
        return (
            None if lines is None else self._mask(lines),
            None if bar is None else self._mask(bar),
        )

    def quiet(self, now: float) -> str | None:
        """The line that has no end yet, when nothing has come for QUIET_SECONDS; else None."""
        if not self._rest or "\r" in self._rest or now - self._since < QUIET_SECONDS:
            return None
        self._since = now
        return self._mask(self._take_piece()) or None

    def end(self) -> str | None:
        """The rest, when nothing more comes; None if there is none."""
        text, self._rest = self._rest + self._decode(b"", True), ""
        return self._mask(self._visible(text)) or None

    def _take_piece(self) -> str:
        """The line so far, except the part that may be the beginning of a secret."""
        self._rest = self._mask(self._rest)
        cut = len(self._rest) - self._mask.possible_prefix_length(self._rest)
        piece, self._rest = self._rest[:cut], self._rest[cut:]
        self._continued = self._continued or bool(piece)
        return piece

    def _visible(self, text: str) -> str:
        """The lines as a terminal finally shows them: the last state of overwritten lines."""
        if "\r" not in text:
            return text
        return "\n".join(_last_writing(line) for line in text.split("\n"))

    def _overwritten(self) -> str | None:
        """The last state of an overwritten line; the earlier ones are dropped."""
        start = self._rest.rstrip("\r").rfind("\r")
        if start > 0:
            self._rest = self._rest[start:]
        self._rest = self._rest[-MAX_LINE:]
        return _last_writing(self._rest) or None

    def _without_full_screen(self, text: str) -> str:
        """The text without the output of full-screen programs, which is not a log."""
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
