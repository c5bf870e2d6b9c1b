"""A class's name stands for one thing, wherever it is in the project."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2] / "relay"
CLIENT_SIDE = {"client", "cli"}
# What goes over the wire has its name at both ends: as the server sends it, and as it is read.
BOTH_ENDS = {
    *("FieldError", "Me", "Done", "OpenAsks", "Problem", "Quota", "StreamEvent", "Tasks"),
    *("AddedChannel", "ChannelList", "CodeSent", "DeliveryList", "SentTest"),
}
# Names of two things, of rooms that no module imports together. None is to be added.
OF_TWO_ROOMS = {
    *("Attempts", "Delivery", "Kind", "Notification", "Outbox", "Refused", "Sender"),
}


def test_two_classes_have_the_same_name_only_at_both_ends_of_the_wire() -> None:
    rooms: dict[str, list[str]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        for part in ast.parse(path.read_text()).body:
            if isinstance(part, ast.ClassDef) and not part.name.startswith("_"):
                rooms[part.name].append(path.relative_to(ROOT).parts[0])
    assert all(len(rooms[name]) == 2 for name in OF_TWO_ROOMS)  # no more than there are
    repeated = {
        name: found for name, found in rooms.items() if len(found) > 1 and name not in OF_TWO_ROOMS
    }
    assert repeated.keys() <= BOTH_ENDS
    for name, found in repeated.items():
        assert len(found) == 2, (name, found)
        assert len(CLIENT_SIDE & set(found)) == 1, (name, found)
    assert repeated.keys() == BOTH_ENDS  # the list has no more than there is
