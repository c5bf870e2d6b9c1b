"""Hosts also where the tests do not run as root: in a user namespace, where the kernel lets."""

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from functools import partial
from pathlib import Path

import pytest

from tests.support.programs import kernel_lacks, program

ROOT = Path(__file__).parents[2]
ACCOUNT = "nobody"
# A server on one host, and a client on another one, while packets get there and while none do.
SCRIPT = """
import os, sys, trio
from functools import partial
from tests.support.hosts.network import NoHosts, network
from tests.support.patience import PATIENCE

async def main():
    async with network("a", "b") as wires:
        server = [sys.executable, "-m", "http.server", "--directory", "/proc/self", "8000"]
        async with trio.open_nursery() as nursery:
            command = [*wires.within("a"), *server]
            start = partial(trio.run_process, command, stdout=-3, stderr=-3)  # DEVNULL
            await nursery.start(start)
            print(await served(wires))
            await wires.one_way("a", "b", loss=1)
            try:
                print(await page(wires))
            except OSError as error:
                print(error)
            await wires.heal()
            print(await served(wires), os.geteuid())
            nursery.cancel_scope.cancel()

async def page(wires):
    async with await wires.connect("b", "a", 8000) as line:
        await line.send_all(b"GET /status HTTP/1.0\\r\\n\\r\\n")
        return b"".join([data async for data in line]).split()[1].decode()

async def served(wires):  # once the server is there, and the way to it is open
    with trio.fail_after(PATIENCE):
        while True:
            try:
                return await page(wires)
            except (OSError, trio.BrokenResourceError):
                await trio.sleep(0.1)

try:
    trio.run(main)
except NoHosts as error:
    sys.exit(f"no hosts: {error}")
"""


CHECK = "import subprocess, sys, trio; subprocess.run([sys.executable, '-c', ''], check=True)"


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test of hosts shows it")
def test_another_account_makes_hosts_in_a_user_namespace() -> None:
    uid = pwd.getpwnam(ACCOUNT).pw_uid
    account = (f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    paths = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    run = partial(
        subprocess.run, cwd=ROOT, env={"PATH": os.environ["PATH"], "PYTHONPATH": paths},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # what runs the tests may be in root's own folder
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
        command = [program("setpriv", "util-linux"), *account, "--", python or ""]
        if python and run([*command, "-c", CHECK]).returncode == 0:
            break
    else:
        kernel_lacks("has no Python and no tests that another account may read")
    done = run([*command, "-c", SCRIPT])
    if "no hosts:" in done.stderr:
        kernel_lacks("lets no other account make hosts in a user namespace")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["200", "a does not answer", f"200 {uid}"]
