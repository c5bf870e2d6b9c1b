"""A command starts as the shell would start it: its files, its signal mask, its shell."""

from pathlib import Path

import pytest

from tests.support.job_control import RUN
from tests.support.stand_in import StandIn
from tests.support.terminals import piped


async def test_open_files_and_signal_masks_are_inherited_by_the_command(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    look = "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo told >&7"
    asked = ["bash", "-c", f"trap '' HUP; exec 7>>{log}; \"$@\"", "-"]
    alone = await piped([*asked, "sh", "-c", look], env)
    watched = await piped([*asked, *RUN.split(), "sh", "-c", look], env)
    assert watched.stdout == alone.stdout
    assert log.read_text() == "told\ntold\n"


async def test_a_script_without_a_shebang_runs_in_the_shell(
    stand_in: StandIn, env: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("echo from the script: $1\n")
    script.chmod(0o755)
    done = await piped([*RUN.split(), str(script), "word"], env)
    assert (done.returncode, done.stdout) == (0, b"from the script: word\n")


@pytest.mark.parametrize(
    ("closed", "stdout", "stderr"),
    [("<&-", b"out\n", b"err\n"), (">&-", b"", b"err\n"), ("<&- >&- 2>&-", b"", b"")],
)
async def test_a_closed_stream_is_reused_for_no_other_file(
    stand_in: StandIn, env: dict[str, str], closed: str, stdout: bytes, stderr: bytes
) -> None:
    script = "echo out; echo err >&2; cat; exit 6"
    done = await piped(["bash", "-c", f"{RUN} sh -c '{script}' {closed}"], env)
    assert (done.returncode, done.stdout, done.stderr) == (6, stdout, stderr)
    assert sorted(stand_in.log_lines()) == ["err", "out"]
