"""Text without control characters, for a terminal that would obey them.

Text of a server, of a token's name, of a file or of the command line is data. A control sequence in
it could set the clipboard or the window's title, move the cursor, or reorder what is shown.
"""

import re
from unicodedata import category

REORDERING = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Unicode's Bidi_Control (UAX 9), for a set in a pattern: marks, invisible themselves, that reorder
the text around them. Decision 122 has why they are treated alike."""

# Removed whole: OSC (ends with BEL or ST), DCS, SOS, PM and APC (end with ST), CSI with its
# parameters, other escape sequences; then what remains of C0 (without tab and line feed), DEL, C1,
# and the marks that reorder text. The sequences are those of ECMA-48, and of ansi.js of the page.
CONTROL_SEQUENCES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[P^_X][^\x1b]*(?:\x1b\\)?"
    r"|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
    rf"|[\x00-\x08\x0b-\x1f\x7f-\x9f{REORDERING}]"
)
_COLOURS = re.compile(r"(\x1b\[[0-9;:]*m)")
NO_COLOUR = "\x1b[0m"
_UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Zs")  # categories of Unicode: controls, formats, white space
_ERROR_NUMBER = re.compile(r"\[(?:Errno|WinError) -?\d+\] ?")
MAX_SHOWN = 1_000  # characters of a server's text in one message
_LINE_ENDS = re.compile(r"\r\n|[\n\u2028\u2029]")
_WHITE_SPACE = {ord("\r"): " ", ord("\t"): " "}  # in JSON they are only between values
# Valid in a JSON text, and only inside of its strings: an escape there means the same.
_JSON_CONTROLS = re.compile(rf"[\x7f-\x9f\u2028\u2029{REORDERING}]")


def clean(text: str) -> str:
    """The text as one line without control characters. A tab becomes spaces."""
    return CONTROL_SEQUENCES.sub("", _LINE_ENDS.sub(" ", text)).expandtabs(4)


def is_visible(text: str) -> bool:
    """Whether something of the text is seen, besides white space."""
    first = text[:1]
    if first > " " and first.isprintable():
        return True  # nearly every text is decided here
    return any(category(rest) not in _UNSEEN for rest in CONTROL_SEQUENCES.sub("", text))


def printed_lines(text: str) -> list[str]:
    """The lines of what was printed, as a terminal finally shows them; at least one.

    The live page has the same rule. A carriage return starts its line over, as progress bars do,
    and the colours before it stay on. A line end at the end of the text begins no further line.
    """
    lines = _LINE_ENDS.split(text)
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return [_written_over(line) if "\r" in line else line for line in lines]


def _written_over(line: str) -> str:
    before, _, shown = line.rstrip("\r").rpartition("\r")
    return "".join(_COLOURS.findall(before)) + shown


def keep_colours(line: str) -> str:
    """The line with its colours, and without other control sequences."""
    return "".join(
        part if _COLOURS.fullmatch(part) else CONTROL_SEQUENCES.sub("", part)
        for part in _COLOURS.split(line)
    )


def colours_stay_on(line: str, coloured: bool) -> bool:
    """Whether colours are on after the line, if they were so before it."""
    found = _COLOURS.findall(line)
    return found[-1] not in (NO_COLOUR, "\x1b[m") if found else coloured


def shown_text(text: str) -> str:
    """A server's text for a message: clean, and cut at MAX_SHOWN."""
    cleaned = clean(text[: 10 * MAX_SHOWN])
    return cleaned if len(cleaned) <= MAX_SHOWN else f"{cleaned[:MAX_SHOWN]}…"


def without_error_number(text: str) -> str:
    """The text of an error without the operating system's number, as in `[Errno 13]`."""
    return _ERROR_NUMBER.sub("", text)


def escape_json_line(line: bytes) -> bytes:
    """A line of JSON for a terminal: the same value, with control characters as `\\uXXXX`."""
    return escape_json(line.decode(errors="replace").translate(_WHITE_SPACE)).encode()


def escape_json(text: str) -> str:
    r"""A JSON text of the same value, with control characters as `\uXXXX`."""
    return _JSON_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
