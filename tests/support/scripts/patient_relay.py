"""`relay` as it is, but that it waits at the end until Relay has all, however slow the machine."""

from relay.cli import run, send
from relay.cli.main import main

for command in (run.command, send.command):
    for option in command.params:
        if option.name == "wait":
            option.default = 3_600.0

if __name__ == "__main__":
    main(prog_name="relay")
