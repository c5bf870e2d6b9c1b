"""A command imports what it needs, and the garbage collector leaves that alone."""

import gc
import subprocess
import sys

import pytest

from relay.imports import frozen_imports


def test_the_collector_is_paused_within_the_block_alone() -> None:
    with frozen_imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_was_made_in_the_block_is_never_looked_at() -> None:
    with frozen_imports():
        made: list[object] = [[] for _ in range(1_000)]
    assert not {id(each) for each in made} & {id(each) for each in gc.get_objects()}


def test_the_collector_comes_back_after_a_failed_import() -> None:
    with pytest.raises(ImportError), frozen_imports():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with frozen_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


# In a process of its own: in this one the event loops are imported already.
LOADS = """
import sys
from relay.cli.main import main
for name in {commands}:
    assert main.get_command(main.make_context("relay", ["run"]), name)
import httpcore
print(bool(sys.modules.get("trio")))
"""


@pytest.mark.parametrize(
    ("commands", "imported"),
    [(["send"], "False"), (["send", "serve"], "True")],
    ids=["a producer", "a server after it"],
)
def test_event_loops_are_imported_for_servers_alone(commands: list[str], imported: str) -> None:
    code = LOADS.format(commands=commands)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.stdout.decode().strip(), done.stderr) == (imported, b"")


UNUSED = """
import sys
from relay.cli.main import main
context = main.make_context("relay", ["run"])
assert main.get_command(context, "serve")
print(*sorted({"quart", "rich", "segno"} & set(sys.modules)))
assert main.get_command(context, "tail")
print("rich" in sys.modules)
"""


def test_a_server_imports_no_package_that_it_does_not_use_and_other_commands_still_may() -> None:
    done = subprocess.run([sys.executable, "-c", UNUSED], capture_output=True, check=False)
    assert (done.stdout.decode(), done.stderr) == ("\nTrue\n", b"")
