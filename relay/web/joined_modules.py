"""Join JavaScript modules into one file, so that a page loads and copies a single module.

The parts stay ordinary modules that Node and editors can read. They must follow three rules: each
import is one line with its names, each export precedes a class, a function or a constant, and no
top-level name occurs in two parts.
"""

import re
from pathlib import Path

_IMPORT = re.compile(r"import \{ \w+(?:, \w+)* \} from '(\./[\w./-]+\.js)';")
_RE_EXPORT = re.compile(r"(export \{ \w+(?:, \w+)* \}) from '(\./[\w./-]+\.js)';")
_EXPORT = re.compile(r"export (?=(?:async function|class|const|function) \w)")
_TYPE_IMPORT = re.compile(r"/\*\* @typedef \{import\(.+\*/")  # relative to the part, so dropped
_OTHER = re.compile(r"(?:import|export)\b")


def join_modules(entry: Path) -> bytes:
    """The module at `entry`, after all modules that it imports. Its exports stay the same.

    Each module occurs once, below a comment with its path. Raises ValueError for an import or an
    export of another form, OSError for a missing module.
    """
    entry = entry.resolve()
    texts = [f"// {entry.name} and its parts, joined; what a page imports stands last.\n"]
    seen: set[Path] = set()

    def add(module: Path) -> None:
        seen.add(module)
        kept = [f"// {module.relative_to(entry.parent)}"]
        for number, line in enumerate(module.read_text("utf-8").splitlines(), 1):
            if found := _IMPORT.fullmatch(line):
                imported = found[1]
            elif (found := _RE_EXPORT.fullmatch(line)) and module == entry:
                kept.append(f"{found[1]};")
                imported = found[2]
            elif _OTHER.match(line) and not _EXPORT.match(line):
                raise ValueError(f"{module}:{number} cannot be joined: {line}")
            else:
                if not _TYPE_IMPORT.fullmatch(line):
                    kept.append(line if module == entry else _EXPORT.sub("", line))
                continue
            if (path := (module.parent / imported).resolve()) not in seen:
                add(path)
        texts.append("\n".join(kept) + "\n")

    add(entry)
    return "\n".join(texts).encode()
