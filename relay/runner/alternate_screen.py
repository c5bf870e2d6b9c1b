"""Leaves out what full-screen programs paint: the output on the terminal's alternate screen."""

import re

from relay.runner.sequences import begun_sequence, visible_text

MODES = frozenset({"47", "1047", "1049"})  # of xterm, that switch to the alternate screen
LAST_CHARACTERS = 4096  # of a painting, that are returned when it never ends
LAST_LINES = 20

_SWITCH = re.compile(r"\x1b\[\?([\d;]*)([hl])")
_LINES = re.compile(r"[\r\n]+|\x1b\[[\d;]*[Hf]")  # paintings are placed by row and column


class MainScreen:
    """Follows one stream, and keeps its state from read to read."""

    def __init__(self) -> None:
        self._begun = ""  # a sequence that has no end yet
        self._painted: str | None = None  # the last that was painted, on the alternate screen

    def part_of(self, text: str) -> str:
        """What of the text is on the main screen. An unfinished sequence waits for its end."""
        if self._painted is None and not self._begun and "\x1b" not in text:
            return text
        text = self._begun + text
        if length := begun_sequence(text):
            text, self._begun = text[:-length], text[-length:]
        else:
            self._begun = ""
        return self._without_paintings(text)

    def end(self) -> str:
        """What is left when nothing more comes.

        After a crash the terminal is still on the alternate screen. Then the last lines are
        returned: they hold the reason.
        """
        begun, self._begun = self._begun, ""
        if self._painted is None:
            return begun
        lines = [visible_text(line) for line in _LINES.split(self._painted)]
        self._painted = None
        return "\n".join([line for line in lines if line][-LAST_LINES:])

    def _without_paintings(self, text: str) -> str:
        if self._painted is None and "?" not in text:
            return text  # a search for one character costs almost nothing
        kept, at = [], 0
        for match in _SWITCH.finditer(text):
            if MODES.isdisjoint(match[1].split(";")):
                continue
            if self._painted is None:
                kept.append(text[at : match.start()])
            self._painted = "" if match[2] == "h" else None
            at = match.end()
        if self._painted is None:
            kept.append(text[at:])
        else:
            self._painted = (self._painted + text[at:])[-LAST_CHARACTERS:]
        return "".join(kept)
