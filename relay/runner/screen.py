"""The last lines of a terminal, where a program writes over what it has written."""

import re
from collections import deque
from itertools import groupby
from typing import NamedTuple

from relay.runner.sequences import SEQUENCE

MAX_ROWS = 100  # that can be written over: the cursor does not go further up
MAX_STYLE = 128  # characters of the sequences that set a colour together

# What moves the cursor or erases. Text without it reads the same as a terminal shows it.
_MOVEMENT = re.compile(r"\x1b\[[0-9;]*+[A-HJKf]")
# The groups: what is printed, a newline, and those of a control sequence.
_TOKEN = re.compile(r"([^\x00-\x08\x0a-\x0c\x0e-\x1f\x7f]+)|(\n)|" + SEQUENCE.pattern)


def start_of_movement(text: str, at: int) -> int:
    """Where the cursor is first moved, from `at` on; the text's length if it is not."""
    end = len(text)
    for character in "\r\b":  # a search for one character costs almost nothing
        if (place := text.find(character, at, end)) >= 0:
            end = place
    if text.find("\x1b", at, end) >= 0 and (match := _MOVEMENT.search(text, at, end)) is not None:
        end = match.start()
    return end


class Released(NamedTuple):
    """A line that is finally as it is. `redrawn`: it was written over, as bars are."""

    text: str
    redrawn: bool


class _Row:
    def __init__(self, redrawn: bool = False, bar: str = "") -> None:
        self.characters = ""
        self._styles: list[str] = []  # the sequences that colour each character; none for the rest
        self.redrawn = redrawn
        self.bar = bar  # which was released here, until something else is written

    def write(self, column: int, text: str, style: str) -> None:
        self.bar = ""
        end = column + len(text)
        if (missing := column - len(self.characters)) >= 0:
            self.characters += " " * missing + text
        else:
            self.characters = self.characters[:column] + text + self.characters[end:]
        if style or column < len(self._styles):
            self._styles += [""] * (column - len(self._styles))
            self._styles[column:end] = [style] * len(text)

    def erase(self, start: int, end: int) -> None:
        self.bar = ""
        if end >= len(self.characters):
            self.characters = self.characters[:start]
            del self._styles[start:]
        else:
            self.write(start, " " * (end - start), "")

    def text(self) -> str:
        """The characters with the sequences that colour them."""
        text = self._coloured() if any(self._styles) else self.characters
        return text.rstrip(" ") if self.redrawn else text

    def _coloured(self) -> str:
        parts, style, at = [], "", 0
        for new, characters in groupby(self._styles):
            parts.append(_change(style, new))
            start, at = at, at + sum(1 for _ in characters)
            parts.append(self.characters[start:at])
            style = new
        return "".join([*parts, _change(style, ""), self.characters[at:]])


def _change(style: str, new: str) -> str:
    """What is written where characters of a style are followed by those of a new one."""
    return new.removeprefix(style) if new.startswith(style) else f"\x1b[0m{new}"


class Screen:
    """Applies cursor movements within the last lines. Those out of its reach are released."""

    def __init__(self) -> None:
        self._height = 1  # of the lines that have been written over since `bars`
        self._above: deque[str] = deque(maxlen=MAX_ROWS)  # released lines: bars, and "" for others
        self._start()

    def _start(self) -> None:
        self._rows = [_Row()]
        self._row = self._column = 0
        self._style = ""
        self._reach = 0  # how many lines up from the last one the cursor has been
        self._moved = False  # since the last newline
        self._released: list[Released] = []

    @property
    def active(self) -> bool:
        """Whether there are lines that may still be written over, or one that is unfinished."""
        begun = self._moved or self._column > 0 or bool(self._rows[-1].characters)
        return begun or self._reach > 0 or bool(self._style)

    @property
    def longest(self) -> int:
        """The length of the line that the cursor is in."""
        return len(self._rows[self._row].characters)

    @property
    def settled(self) -> bool:
        """Whether the cursor is at the beginning of a new line, below all others."""
        at_end = self._row == len(self._rows) - 1 and self._column == 0
        return at_end and not self._rows[-1].characters

    def feed(self, text: str) -> list[Released]:
        """Write text; returns the lines that are finished."""
        for match in _TOKEN.finditer(text):
            piece = match[0]
            match match.lastindex:
                case 1:
                    self._print(piece)
                case 2:
                    self._next_line()
                case 4 if match[4] == "m":
                    self._colour(piece, match[3])
                case 4:
                    self._control(match[3], match[4])
                case _ if piece == "\b":
                    self._column, self._moved = max(0, self._column - 1), True
        released, self._released = self._released, []
        if not self.active:
            self._start()
        return released

    def bars(self, released: list[Released]) -> str | None:
        """The lines that are written over, those `released` included; None if there is none.

        They are those that the cursor has reached together: one, if it does not move up.
        """
        rows = [row.text() or row.bar for row in self._rows if row.redrawn]
        texts = [line.text for line in released if line.redrawn] + [row for row in rows if row]
        if not texts:
            return None
        height, self._height = self._height, self._reach + 1
        return "\n".join(texts[-height:])

    def scroll(self, number: int) -> None:
        """So many lines were written past this screen: the cursor was not moved in them."""
        self._above.extend([""] * min(number, MAX_ROWS))

    def settle(self) -> list[Released]:
        """Release all lines. The last one may be unfinished, and is released if it has text."""
        rows, self._rows = self._rows, []
        if rows[-1].text() == "":
            rows.pop()
        for row in rows:
            self._release(row)
        released = self._released
        self._start()
        return released

    def _print(self, text: str) -> None:
        """Write text that may return to the beginning of its line, as bars do for each state."""
        if "\r" not in text:
            self._write(text)
            return
        first, *states = text.split("\r")
        if first:
            self._write(first)
        self._column, self._moved = 0, True
        if shown := _overlaid(states):
            self._write(shown)
        self._column = len(states[-1])

    def _write(self, text: str) -> None:
        row = self._rows[self._row]
        row.redrawn = row.redrawn or self._moved
        row.write(self._column, text, self._style)
        self._column += len(text)

    def _next_line(self) -> None:
        self._down(1)
        self._column, self._moved = 0, False
        if (
            self._reach
            and self.settled
            and not any(row.redrawn for row in self._rows[-self._reach - 1 :])
        ):
            self._reach = 0
        if not self._reach:
            self._style = ""  # lines without movements are not read for it
        while len(self._rows) - 1 > self._reach and self._row > 0:
            self._release(self._rows.pop(0))
            self._row -= 1

    def _control(self, parameters: str, final: str) -> None:
        first = parameters.split(";")[0]
        number = int(first[:6]) if first.isdecimal() else 0
        match final:
            case "A" | "F":
                self._up(max(1, number))
            case "B" | "E":
                self._down(max(1, number), redrawn=True)
            case "C":
                self._column = min(self._column + max(1, number), 1000)
            case "D":
                self._column = max(0, self._column - max(1, number))
            case "G":
                self._column = min(max(0, number - 1), 1000)
            case "K":
                self._erase(number)
            case "J" if number == 0:
                self._erase(0)
                for row in self._rows[self._row + 1 :]:
                    row.erase(0, len(row.characters))
                    row.redrawn = True
            case "H" | "f" | "J":  # a place on the whole screen, or all of it is erased
                self._released = self.settle()
                return
            case _:
                return
        if final in "EF":
            self._column = 0
        self._moved = True

    def _colour(self, sequence: str, parameters: str) -> None:
        reset = not parameters.strip("0") and sequence == f"\x1b[{parameters}m"
        self._style = "" if reset else self._style + sequence
        if len(self._style) > MAX_STYLE:
            self._style = f"\x1b[0m{sequence}"[:MAX_STYLE]

    def _up(self, number: int) -> None:
        missing = min(number - self._row, MAX_ROWS - len(self._rows))
        if missing > 0:  # lines that have been released already: only what is written now counts
            known = [self._above.pop() for _ in range(min(missing, len(self._above)))]
            bars = [*[""] * (missing - len(known)), *reversed(known)]
            self._rows[:0] = [_Row(redrawn=True, bar=bar) for bar in bars]
            self._row += missing
        self._row = max(0, self._row - number)
        self._reach = max(self._reach, len(self._rows) - 1 - self._row)
        self._height = max(self._height, self._reach + 1)

    def _down(self, number: int, redrawn: bool = False) -> None:
        self._row += min(number, MAX_ROWS)
        while self._row >= len(self._rows):
            self._rows.append(_Row(redrawn))

    def _erase(self, kind: int) -> None:
        row = self._rows[self._row]
        row.redrawn = row.redrawn or bool(row.characters)
        if kind in (0, 2):
            row.erase(0 if kind == 2 else self._column, len(row.characters))
        elif kind == 1:
            row.erase(0, self._column + 1)

    def _release(self, row: _Row) -> None:
        text = row.text()
        self._above.append((text or row.bar) if row.redrawn else "")
        if text or not row.redrawn:
            self._released.append(Released(text, row.redrawn))


def _overlaid(states: list[str]) -> str:
    """What is seen of texts written over each other, from the first one to the last."""
    shown = ""
    for state in reversed(states):
        if len(state) > len(shown):
            shown += state[len(shown) :]
    return shown
