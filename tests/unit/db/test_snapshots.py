"""A statement that calls a function which writes reads no table beside it (decision 117).

The function sees what was committed until each of its own statements begins. The statement that
calls it sees only what was committed until it began itself: a row that the function has found may
miss what it belongs to.
"""

import re

from tests.support.statements import SCHEMA, statements

TABLES = set(re.findall(r"^CREATE (?:UNLOGGED )?TABLE public\.(\w+) \(", SCHEMA, re.MULTILINE))
READ = re.compile(r"\b(?:FROM|JOIN)\s+(?:public\.)?(\w+)\b(?!\()")
WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\b")
FUNCTIONS = set(re.findall(r"^CREATE FUNCTION public\.(\w+)", SCHEMA, re.MULTILINE))
WRITING = {
    name
    for name in FUNCTIONS
    if any(WRITES.search(text) for text in statements().get(name, ()) if "$$" in text)
}
CALL = re.compile(rf"\b({'|'.join(sorted(WRITING))})\(")


def test_a_statement_that_calls_a_function_which_writes_reads_no_table_beside_it() -> None:
    called, mixed = set[str](), set[str]()
    for name, texts in statements().items():
        for text in texts:
            if "$$" in text or not (calls := CALL.findall(text)):
                continue
            called.update(calls)
            if TABLES & set(READ.findall(text)):
                mixed.add(name)
    assert {"append_requests", "open_ask", "take_notifications", "write_projections"} <= called
    assert not mixed
