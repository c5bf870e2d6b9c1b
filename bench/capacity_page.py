"""Write the tables of docs/explanation/scale.md: `python -m bench.capacity_page`."""

import re
import shlex
from pathlib import Path

from bench.capacity import arguments, report

PAGE = Path(__file__).parents[1] / "docs/explanation/scale.md"
BLOCK = re.compile(r"<!-- capacity:(.*?)-->\n.*?<!-- capacity -->", re.DOTALL)


def filled(text: str) -> str:
    """The page, with the output for the options of each block."""

    def block(found: re.Match[str]) -> str:
        table = report(*arguments(shlex.split(found[1])))
        return f"<!-- capacity:{found[1]}-->\n{table}\n<!-- capacity -->"

    return BLOCK.sub(block, text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
