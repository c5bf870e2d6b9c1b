"""Small and read-only disks: a tmpfs, mounted for as long as a test needs it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.patience import PATIENCE
from tests.support.programs import kernel_lacks

# The shell unmounts at the end of its input. So a test run that is killed leaves no mount, which
# nothing could remove from the folder of temporary files. `setsid` keeps its signals away, and
# within the mount the shell finds it even after a folder above was renamed.
SHELL = """
mount -t tmpfs -o "$1" tmpfs "$0" && cd "$0" && echo mounted && { read -r _; umount -l .; }
"""


@contextmanager
def tmpfs(place: Path, options: str) -> Iterator[None]:
    """A tmpfs on this folder. Skips the test where none may be mounted."""
    if os.geteuid() != 0:
        kernel_lacks("lets no one but root mount a small disk")
    with subprocess.Popen(
        ["setsid", "sh", "-c", SHELL, str(place), options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        assert shell.stderr is not None
        if shell.stdout.readline() != "mounted\n":
            kernel_lacks(f"mounts no tmpfs: {shell.stderr.readline().strip()}")
        yield
        shell.stdin.close()
        assert shell.wait(PATIENCE) == 0, shell.stderr.read()
