"""What `relay run` reports on stderr beside the command's own output."""

from relay.cli.output import note


class Notes:
    """Notes for the user: the first one while the command runs is shown at once, all at the end."""

    def __init__(self) -> None:
        self.show_next = False  # at once; set while the command runs
        self._notes: list[str] = []

    def add(self, text: str) -> None:
        """Keep a note. Called in any thread."""
        self._notes.append(text)
        if self.show_next:
            self.show_next = False
            note(f"relay: {text}")

    def show_all(self) -> None:
        """Show each note once, in their order."""
        for text in dict.fromkeys(self._notes):
            note(f"relay: {text}")
