"""What happens to a command that the system refuses to execute."""

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from relay.runner.execution import execute_program


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder on PATH, beside one that this user may not search; root may search all."""

    def execvp(_name: str, _arguments: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/elsewhere")
    monkeypatch.setattr(os, "execvp", execvp)
    return tmp_path


def test_an_unsearchable_folder_of_path_is_skipped(refused: Path) -> None:
    assert refused.is_dir()
    with pytest.raises(FileNotFoundError):
        execute_program(["no-such-command-here"])


def test_a_file_without_execute_permission_is_no_missing_command(refused: Path) -> None:
    (refused / "notes").write_text("no program")
    for program in ("notes", str(refused / "notes"), "/no/such/place"):
        with pytest.raises(PermissionError):
            execute_program([program])
