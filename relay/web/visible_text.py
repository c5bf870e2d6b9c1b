"""Find characters that a name must not have, because terminals and pages obey them."""

import re

from relay.client.plain_text import REORDERING

_CONTROLS = (
    r"\x00-\x1f\x7f"  # C0 and DEL
    r"\x80-\x9f"  # C1: some terminals take U+009B like ESC [
    f"{REORDERING}"
    r"\u2028\u2029"  # line ends
)
VISIBLE_TEXT_PATTERN = f"^[^{_CONTROLS}]+$"
"""The pattern of a text without them, for the OpenAPI document."""

_CONTROL = re.compile(f"[{_CONTROLS}]")


def find_control(text: str) -> str | None:
    """The first of these characters, as `U+009B`; None if there is none."""
    found = _CONTROL.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"
