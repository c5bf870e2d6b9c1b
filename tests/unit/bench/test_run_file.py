"""A run that was interrupted goes on where its last whole turn ended."""

import json
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import take_turn
from bench.agenda import Workload
from bench.forms import PLAIN
from bench.peer import Peer, PeerInstance, StartOptions
from bench.run_config import RunConfig
from bench.run_file import NotTheSameRun, RunFile
from bench.schedule import TimeBudget, Turn

FIRST: dict[str, Any] = {
    "machine": {"cores": 2},
    "cores": 2,
    "processor": "one",
    "commit": "abc",
    "config": {"shapes": ("tidy",)},
    "peers": ["relay"],
    "at": "yesterday",
}


def turn(name: str, number: int = 1) -> Turn:
    return Turn(Workload(name, f"the title of {name}", lambda *_: iter(())), PLAIN, number, ())


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def interrupted(path: Path) -> None:
    run = RunFile.begin(path, FIRST)
    run.write(headroom={})
    run.write(absent="node", why="not installed")
    run.write(workload="one", round=1)
    run.end(turn("one"), 60.0)
    run.write(left_out="other", form="plain", round=1)
    run.write(workload="one", round=2)  # its turn has no end
    run.close()
    with path.open("a") as file:
        file.write('{"workload": "one", "rou')  # killed in the middle of a line


def test_it_keeps_whole_turns_and_measures_the_rest_anew(tmp_path: Path) -> None:
    interrupted(path := tmp_path / "run.jsonl")
    run = RunFile.go_on(path, {**FIRST, "at": "today"})
    assert run.is_done(turn("one"))
    assert not run.is_done(turn("one", 2))
    assert not run.is_done(turn("other"))
    assert (run.seconds, run.has_headroom) == (60.0, True)
    run.write(workload="one", round=2)
    run.end(turn("one", 2), 30.0)
    run.close()
    assert records(path) == [
        {**FIRST, "config": {"shapes": ["tidy"]}},
        {"headroom": {}},
        {"workload": "one", "round": 1},
        {"turn": ["the title of one", "plain", 1], "seconds": 60.0},
        {"continued": "today"},
        {"workload": "one", "round": 2},
        {"turn": ["the title of one", "plain", 2], "seconds": 30.0},
        {"minutes": 1.5},
    ]


def test_a_run_that_ended_within_its_first_turn_keeps_what_describes_it(tmp_path: Path) -> None:
    run = RunFile.begin(path := tmp_path / "run.jsonl", FIRST)
    run.write(headroom={})
    run.write(workload="one", round=1)
    run.close()
    again = RunFile.go_on(path, FIRST)
    assert (again.seconds, again.has_headroom) == (0, True)
    again.close()
    assert [set(each) for each in records(path)] == [
        set(FIRST),
        {"headroom"},
        {"continued"},
        {"minutes"},
    ]


@pytest.mark.parametrize("name", ["commit", "config", "cores", "processor", "peers"])
def test_another_commit_machine_or_command_line_is_another_run(tmp_path: Path, name: str) -> None:
    interrupted(path := tmp_path / "run.jsonl")
    before = path.read_text()
    with pytest.raises(NotTheSameRun, match=name):
        RunFile.go_on(path, {**FIRST, name: "another"})
    assert path.read_text() == before


def test_an_interrupted_turn_is_not_ended_whatever_its_clean_up_raises(tmp_path: Path) -> None:
    run = RunFile.begin(path := tmp_path / "run.jsonl", FIRST)

    def gone(_options: StartOptions) -> AbstractContextManager[PeerInstance]:
        run.interrupted = True  # by a signal, which has ended the peer, too
        raise ConnectionRefusedError

    under_way = replace(turn("one"), peers=(Peer(name="a", title="A", start=gone),))
    with pytest.raises(SystemExit):
        take_turn(under_way, set(), TimeBudget(None, lambda *_: RunConfig()), run)
    run.close()
    again = RunFile.go_on(path, FIRST)
    assert not again.is_done(under_way)
    again.close()
    assert not any("failed" in each for each in records(path))
