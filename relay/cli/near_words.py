"""Finds the word that was probably meant, for a message about an unknown one."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

MAX_SUGGESTIONS = 2


def did_you_mean(
    word: str, known: Iterable[str], other_names: Mapping[str, str] | None = None
) -> str:
    """A question that names what is close to the word, or what has it as another name; else "".

    It begins with a space, so that it follows the message's own sentence.
    """
    if other_names and word.lower() in other_names:
        found = [other_names[word.lower()]]
    else:
        found = get_close_matches(word.lower(), list(known), MAX_SUGGESTIONS)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""
