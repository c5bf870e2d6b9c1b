"""Text that other systems wrote: byte order marks, and encodings that are not UTF-8.

A UTF-8 byte order mark and CRLF line ends are harmless and passed over (RFC 8259, section 8.1).
Anything else is named, with the way to save it as UTF-8.
"""

BOM = b"\xef\xbb\xbf"  # the UTF-8 byte order mark; Windows programs write it
BOM_CHARACTER = "\ufeff"
SAVE_AS_UTF8 = "Save it as UTF-8, in PowerShell with `Out-File -Encoding utf8`"

# The longest first: the mark of UTF-32 in little-endian order begins with that of UTF-16.
_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def without_bom(data: bytes) -> bytes:
    """The bytes without a UTF-8 byte order mark at their beginning."""
    return data.removeprefix(BOM)


def other_encoding(data: bytes) -> str | None:
    """What the text is instead of UTF-8, and how to save it; None if it may be UTF-8."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            shown = mark.hex(" ").upper()
            return f"{name} (it begins with the byte order mark {shown}). {SAVE_AS_UTF8}"
    if b"\0" in data[:4]:  # ASCII characters have NUL bytes in UTF-16 and UTF-32, never in UTF-8
        return f"UTF-16 or UTF-32 (it has NUL bytes). {SAVE_AS_UTF8}"
    return None
