"""Switches to another user, asks the kernel to end it with Relay, and executes a program.

    python -IS launcher.py PARENT IDENTITY PROGRAM [ARGUMENT ...]

All of this has to happen between fork and exec. A `preexec_fn` would run in the copy of a process
with threads, where any lock may be held for ever; a new process has none. PARENT is Relay's
process id; IDENTITY is one of

    same            the current user
    map:UID:GID     UID and GID in a user namespace; outside it, the current user
    drop:UID:GID    that user and group, irreversibly; needs root

It imports only the standard library and nothing of Relay, because the new user may be able to
read nothing else.
"""

import ctypes
import os
import signal
import sys

CLONE_NEWUSER = 0x10000000  # linux/sched.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def map_into_namespace(uid: int, gid: int) -> None:
    """Become `uid` and `gid` inside a new user namespace; outside, nothing changes.

    After the exec it has no capabilities: Postgres can access what the caller owns, nothing else.
    """
    outer_uid, outer_gid = os.getuid(), os.getgid()
    _system_call("unshare", CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),  # the kernel requires this before a gid may be mapped
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def drop_to(uid: int, gid: int) -> None:
    """Become `uid` and `gid` with no way back."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with(parent: int) -> None:
    """Have SIGINT, Postgres's fast shutdown, sent here when the parent dies (Linux only)."""
    if sys.platform == "linux":
        _system_call("prctl", PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the system call
            sys.exit("Relay is gone")


def _system_call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def main(parent: str, identity: str, *command: str) -> None:
    kind, *ids = identity.split(":")
    try:
        match kind, [int(number) for number in ids]:
            case "map", [uid, gid]:
                map_into_namespace(uid, gid)
            case "drop", [uid, gid]:
                drop_to(uid, gid)
        # Check that this user can enter the folder: a working directory is inherited even by a
        # user that has no access to it.
        os.chdir(os.getcwd())
        # After the change of user, which resets the death signal.
        die_with(int(parent))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it; exec would inherit that
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))


if __name__ == "__main__":
    main(*sys.argv[1:])
