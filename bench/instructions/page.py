"""Write the table of docs/explanation/instructions.md from the record: `python -m … .page`."""

import re
from pathlib import Path

import msgspec

from bench.instructions.comparison import Record, thousands

RECORD = Path(__file__).with_name("recorded.json")
PAGE = Path(__file__).parents[2] / "docs/explanation/instructions.md"
_BLOCK = re.compile(r"(<!-- instructions: (\w+) -->\n).*?(<!-- instructions -->)", re.DOTALL)


def read_record() -> Record:
    """The recorded figures."""
    return msgspec.json.decode(RECORD.read_bytes(), type=Record)


def write_record(record: Record) -> None:
    """Replace the recorded figures, and those of the page."""
    text = msgspec.json.format(msgspec.json.encode(record), indent=2)
    RECORD.write_bytes(text + b"\n")
    PAGE.write_text(filled(PAGE.read_text(), record))


def filled(text: str, record: Record) -> str:
    """The page with the record's tables."""
    tables = {
        "operations": _operations(record),
        "parts": _parts(record),
    }
    return _BLOCK.sub(lambda found: f"{found[1]}{tables[found[2]]}\n{found[3]}", text)


def _operations(record: Record) -> str:
    rows = [
        f"| {name} | {thousands(one.instructions)} |" for name, one in record.operations.items()
    ]
    return "\n".join(["| one | instructions |", "| --- | ---: |", *rows])


def _parts(record: Record) -> str:
    rows = [
        f"| {name} | {thousands(part.instructions)} | {part.microseconds:.1f} |"
        for name, part in record.parts.items()
    ]
    return "\n".join(["| part | instructions | µs |", "| --- | ---: | ---: |", *rows])
