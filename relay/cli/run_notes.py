"""What `relay run` reports on stderr beside the command's own output."""

from relay.cli.output import note


class Notes:
    """Notes for the user: the first one while the command runs is shown at once, all at the end."""

    def __init__(self) -> None:
        self.show_next = False  # at once; set while the command runs
        self._notes: dict[str, None] = {}  # each once, in their order

    def add(self, text: str) -> None:
        """Keep a note. Called in any thread."""
        self._notes[text] = None
        if self.show_next:
            self.show_next = False
            note(f"relay: {text}")

    def show_all(self) -> None:
        """Show each note once, in their order."""
        for text in list(self._notes):
            note(f"relay: {text}")
