"""Payloads as JSON texts, of every kind that ingestion accepts.

JSON bounds neither the size of a number nor what a key is called, so a payload may hold values that
the common decoders cannot represent. `EXTREME` are such values; `payload_texts` mixes them.
"""

import json

from hypothesis import strategies as st

from relay.ingest.envelope import MAX_NESTING

KNOWN_KEYS = ("title", "message", "level", "progress", "exit_code", "duration_s")
EXTREME = (
    *("1e309", "-1e400", "1e-400", "-0", "0.1e-7", "1E+2", "123456789012345678901234567890"),
    *("9" * 400, "9" * 4_300, "9" * 4_301, "-" + "9" * 5_000, "9" * 400 + ".0", "1." + "3" * 5_000),
    *(r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'"\u001b]52;c;ZWNobw==\u0007"', r'"\u009b2J"'),
    *('"\u202e\u2066"', '"\u2028\u2029\x85"', r'"a\nb\r\nc"', '""', '"' + "x" * 5_000 + '"'),
    *("[" * (MAX_NESTING - 1) + "]" * (MAX_NESTING - 1), '{"__proto__":1,"constructor":{}}'),
    *('{"a":1,"a":2}', '{"":{"":[]}}', "null", "true", "[]", "{}", '"50%"', '"NaN"'),
)

_VALUES = st.one_of(
    st.sampled_from(EXTREME),
    st.text(max_size=20).map(json.dumps),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
)


def _as_object(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"


_OBJECTS = st.lists(
    st.tuples(st.sampled_from(KNOWN_KEYS) | st.text(max_size=8), _VALUES), max_size=6
).map(_as_object)


def payload_texts() -> st.SearchStrategy[str]:
    """JSON texts; some have lone surrogates, which ingestion may refuse."""
    return _OBJECTS | _VALUES | st.lists(_VALUES, max_size=3).map(lambda all: f"[{','.join(all)}]")
