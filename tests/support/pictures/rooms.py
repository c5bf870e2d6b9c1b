"""The rooms of relay/ and what imports what, as a drawing, read from the code.

    python -m tests.support.pictures.rooms relay > docs/images/rooms.svg

A room is a module or a package right below the folder given. Each stands above all that it
imports; a line goes down from a room to each room it imports, and is red where it goes up.
"""

import ast
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

Imports = dict[str, set[str]]

ROW, GAP, MARGIN = 62, 14, 20  # pixels: from floor to floor, between two boxes, around all
HEIGHT, LETTER = 26, 7.4  # of a box, and of a letter in it
MOST_IN_A_ROW = 14
STYLE = (
    "rect{fill:#fff;stroke:#57606a}text{font:12px ui-monospace,monospace;fill:#1f2328}"
    "path{fill:none;stroke:#0969da;stroke-opacity:.28}path.up{stroke:#cf222e;stroke-opacity:.9}"
    "@media(prefers-color-scheme:dark){rect{fill:#161b22;stroke:#8b949e}text{fill:#e6edf3}"
    "path{stroke:#58a6ff;stroke-opacity:.3}}"
)


def imports_of(package: Path) -> Imports:
    """What each room imports of the others."""
    rooms = {
        path.stem: [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        for path in sorted(package.iterdir())
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    return {
        room: {
            name
            for path in paths
            for name in _imported(ast.parse(path.read_text()), package.name)
            if name in rooms and name != room
        }
        for room, paths in rooms.items()
    }


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == package and rest:
                yield rest.partition(".")[0]


def floors_of(imports: Imports) -> list[list[str]]:
    """The rooms by how much stands below them, the highest first; a circle counts once."""
    height: dict[str, int] = {}

    def climb(room: str, above: tuple[str, ...]) -> int:
        if room not in height:
            below = [name for name in imports[room] if name not in (*above, room)]
            height[room] = max((climb(name, (*above, room)) + 1 for name in below), default=0)
        return height[room]

    for room in sorted(imports):
        climb(room, ())
    return [
        sorted(room for room in imports if height[room] == floor)
        for floor in range(max(height.values()), -1, -1)
    ]


def drawing(imports: Imports) -> str:
    """The SVG."""
    rows = [
        floor[start : start + MOST_IN_A_ROW]
        for floor in floors_of(imports)
        for start in range(0, len(floor), MOST_IN_A_ROW)
    ]
    widths = {room: round(len(room) * LETTER + 18) for room in imports}
    spans = [sum(widths[room] + GAP for room in row) - GAP for row in rows]
    width, height = max(spans) + 2 * MARGIN, (len(rows) - 1) * ROW + HEIGHT + 2 * MARGIN
    places: dict[str, tuple[int, int]] = {}
    for number, (row, span) in enumerate(zip(rows, spans, strict=True)):
        x = (width - span) // 2
        for room in row:
            places[room] = (x, MARGIN + number * ROW)
            x += widths[room] + GAP
    lines = []
    for room, names in sorted(imports.items()):
        for name in sorted(names):
            (x, y), (to_x, to_y) = places[room], places[name]
            x, to_x = x + widths[room] // 2, to_x + widths[name] // 2
            up = to_y <= y
            y, to_y = (y, to_y + HEIGHT) if up else (y + HEIGHT, to_y)
            middle = (y + to_y) // 2
            kind = ' class="up"' if up else ""
            lines.append(f'<path{kind} d="M{x} {y}C{x} {middle} {to_x} {middle} {to_x} {to_y}"/>')
    boxes = [
        f'<rect x="{x}" y="{y}" width="{widths[room]}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x + 9}" y="{y + 17}">{escape(room)}</text>'
        for room, (x, y) in places.items()
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
            f"<style>{STYLE}</style>",
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(drawing(imports_of(Path(sys.argv[1]))))
