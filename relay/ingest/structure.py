"""What the decoder does not see: fields that stand twice, and nesting that breaks readers.

Both are read from the text in a few calls, whatever names, quotes and escapes a payload holds.
"""

import re
from itertools import accumulate

_ENVELOPE = len('{"event_type":"","ts":"","payload":}')
_EVENT_ID = len(',"event_id":""')
_TASK_ID = len(',"task_id":""')
_BLANKS_AND_BACKSLASHES = b" \t\r\n\\"
_NEVER_ESCAPED = bytes(set(range(256)) - set(b'\\"/bfnrtu'))


def shortest_length(events: int, event_ids: int, task_ids: int, values: str) -> int:
    """The bytes of so many envelopes at least: no blanks, no backslashes, each field once.

    `values` are their texts, all of them ASCII, joined; the payloads do not count.
    """
    structure = events * _ENVELOPE + event_ids * _EVENT_ID + task_ids * _TASK_ID
    return structure + len(values) - values.count("\\")


def has_doubled_fields(texts: bytes, payloads: bytes, shortest: int) -> bool:
    r"""Whether a field stands twice in an envelope. The decoder keeps the last and drops the rest.

    `texts` are envelopes that the decoder took, one after the other, `payloads` the payloads that
    it kept, as sent, and `shortest` is the `shortest_length` of all else that it kept.

    Blanks and backslashes are taken off. What is left of a field that was kept is its shortest
    form, but for `\u` escapes: of `\u0041` four bytes more are left than its `A` counts, and of
    `\u005c` five, since a backslash counts as none. These are taken off, too. What is left of a
    field that was dropped is its name and punctuation at least. So nothing is left over if, and
    only if, no field was dropped; and as nothing is ever negative, one sum decides for many
    envelopes.
    """
    left_over = _bare_length(texts) - _bare_length(payloads) - shortest
    if left_over:
        left_over -= 4 * (_count_unicode(texts) - _count_unicode(payloads))
    if left_over:
        left_over -= _count_escaped_backslashes(texts) - _count_escaped_backslashes(payloads)
    return left_over != 0


def _bare_length(text: bytes) -> int:
    return len(text.translate(None, _BLANKS_AND_BACKSLASHES))


def _count_unicode(text: bytes) -> int:
    r"""How many `\u` escapes there are. What never follows a backslash is dropped first."""
    if b"\\" not in text:
        return 0
    return text.translate(None, _NEVER_ESCAPED).replace(rb"\\", b"").count(rb"\u")


def _count_escaped_backslashes(text: bytes) -> int:
    escapes = text.replace(rb"\\", b"")
    return escapes.count(rb"\u005c") + escapes.count(rb"\u005C")


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def nests_too_deep(raw: bytes, allowed: int) -> bool:
    """Whether arrays and objects nest deeper than allowed; strings do not count."""
    if raw.count(b"[") + raw.count(b"{") <= allowed:
        return False
    brackets = _STRING.sub(b"", raw).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > allowed
