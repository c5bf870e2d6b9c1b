"""The `relay` command, with a final wait long enough for slow machines."""

from relay.cli import run, send
from relay.cli.main import main

for command in (run.command, send.command):
    for option in command.params:
        if option.name == "wait":
            option.default = 3_600.0

if __name__ == "__main__":
    main(prog_name="relay")
