"""Checks that the decoder does not make: duplicate envelope fields, and the depth of nesting.

Both scan the raw text in a few calls. No name, quote or escape in a payload misleads them.
"""

import re
from collections.abc import Sequence
from itertools import accumulate

_PAYLOAD_NAME = b'"payload":'
_LONG_PAYLOAD = 1_024  # bytes; cutting a shorter one out costs as much as it saves
_ENVELOPE = len('{"event_type":"","ts":"","payload":}')
_EVENT_ID = len(',"event_id":""')
_TASK_ID = len(',"task_id":""')
_BLANKS_AND_BACKSLASHES = b" \t\r\n\\"
_NEVER_ESCAPED = bytes(set(range(256)) - set(b'\\"/bfnrtu'))


def shortest_length(events: int, event_ids: int, task_ids: int, values: str) -> int:
    """The length of this many envelopes without blanks and backslashes, each field given once.

    `values` are their field values, all ASCII, joined. Payloads are not counted.
    """
    structure = events * _ENVELOPE + event_ids * _EVENT_ID + task_ids * _TASK_ID
    return structure + len(values) - values.count("\\")


def has_doubled_fields(texts: bytes, payloads: bytes, shortest: int) -> bool:
    r"""Whether an envelope has a field twice. The decoder keeps the last one and drops the others.

    `texts` are the joined envelopes that the decoder accepted, `payloads` their joined payloads as
    sent, and `shortest` is the `shortest_length` of the other fields that the decoder kept.

    The check compares lengths. Blanks and backslashes are removed first. Then each kept field has
    its shortest length, except for `\u` escapes: `\u0041` is four bytes longer than the `A` that it
    stands for, and `\u005c` five, since its backslash is counted as none. These bytes are
    subtracted, too. A dropped field adds at least its name and punctuation. So the difference is
    zero if and only if no field was dropped. It is never negative for one envelope, so one sum
    decides for many.
    """
    left_over = _bare_length(texts) - _bare_length(payloads) - shortest
    if left_over:
        left_over -= 4 * (_count_unicode(texts) - _count_unicode(payloads))
    if left_over:
        left_over -= _count_escaped_backslashes(texts) - _count_escaped_backslashes(payloads)
    return left_over != 0


def without_payload(text: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """An envelope and its payload, for `has_doubled_fields`, both without a long payload's bytes.

    Taking the same bytes out of both changes none of its differences, as long as that cuts no
    escape in two: so no backslash may come before them.
    """
    if len(payload) < _LONG_PAYLOAD:
        return text, payload
    start = text.find(_PAYLOAD_NAME) + len(_PAYLOAD_NAME)
    start += text[start : start + 1] == b" "  # as json.dumps writes it
    if b"\\" in text[:start] or not text.startswith(payload, start):
        return text, payload
    return text[:start] + text[start + len(payload) :], b""


def without_payloads(texts: Sequence[bytes], payloads: Sequence[str]) -> tuple[bytes, bytes]:
    """The same of many envelopes, joined."""
    joined = "".join(payloads)
    if len(joined) < _LONG_PAYLOAD * len(payloads):
        return b"".join(texts), joined.encode()
    rests = [
        without_payload(text, payload.encode())
        for text, payload in zip(texts, payloads, strict=True)
    ]
    return b"".join([text for text, _ in rests]), b"".join([payload for _, payload in rests])


def _bare_length(text: bytes) -> int:
    return len(text.translate(None, _BLANKS_AND_BACKSLASHES))


def _count_unicode(text: bytes) -> int:
    r"""Count the `\u` escapes. Bytes that cannot be part of an escape are removed first."""
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
    """Whether arrays and objects nest deeper than allowed. Brackets in strings do not count."""
    # `find` skips text ten times as fast as `count`, and a log mostly has few brackets or none.
    behind_first = [raw.count(byte, 1) for byte in (b"[", b"{") if raw.find(byte, 1) > 0]
    if 1 + sum(behind_first) <= allowed:
        return False
    brackets = _STRING.sub(b"", raw).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > allowed
