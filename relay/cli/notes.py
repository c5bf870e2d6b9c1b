"""What `relay run` reports on stderr beside the command's own output."""

import click


class Notes:
    """Notes for the user: the first one while the command runs is shown at once, all at the end."""

    def __init__(self) -> None:
        self.show_next = False  # at once; set while the command runs
        self._notes: list[str] = []

    def add(self, note: str) -> None:
        """Keep a note. Called in any thread."""
        self._notes.append(note)
        if self.show_next:
            self.show_next = False
            _show(note)

    def show_all(self) -> None:
        """Show each note once, in their order."""
        for note in dict.fromkeys(self._notes):
            _show(note)


def _show(note: str) -> None:
    from relay.cli.screen import clean  # slow to import, and most runs have no notes

    click.echo(f"relay: {clean(note)}", err=True)
