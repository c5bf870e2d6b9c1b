"""Who Postgres runs as: it refuses to be root, and Relay may well be root."""

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """An identity for Postgres's programs.

    `identity` is what the launcher is told; `uid` and `gid` own the files, as seen from here.
    """

    name: str
    identity: str
    uid: int
    gid: int

    @classmethod
    def myself(cls) -> "Account":
        """The user Relay runs as."""
        return cls("this user", "same", os.geteuid(), os.getegid())

    @classmethod
    def namespaced(cls) -> "Account":
        """Somebody else in Postgres's eyes only: a user namespace of one user (Linux).

        The files stay ours, no folder needs a wider mode and no account is created. The name
        worn inside is any that exists, because initdb looks its own up; it gives no rights.
        """
        inner = next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)
        uid, gid = (inner.pw_uid, inner.pw_gid) if inner else (65534, 65534)
        return cls("a user namespace", f"map:{uid}:{gid}", os.geteuid(), os.getegid())

    @classmethod
    def dropped(cls, name: str) -> "Account":
        """A system account, root being given up. Raises KeyError if there is no such account."""
        entry = pwd.getpwnam(name)
        uid, gid = entry.pw_uid, entry.pw_gid
        return cls(f"the account {name}", f"drop:{uid}:{gid}", uid, gid)

    def admit(self, folder: Path) -> None:
        """Let this account pass through Relay's data folder, without reading it."""
        status = folder.stat()
        if self.identity.startswith("drop:") and not status.st_mode & 0o001:
            os.chown(folder, -1, self.gid)
            folder.chmod(status.st_mode & 0o777 | 0o010)

    def own(self, tree: Path) -> None:
        """Make a tree in Relay's data folder this account's; only root can, and only root must."""
        if os.geteuid() != 0 or tree.stat().st_uid == self.uid:
            return
        # The top goes last: as long as it is not ours, an interrupted change is done again.
        for place, _, files in os.walk(tree, topdown=False):
            for name in files:
                os.lchown(os.path.join(place, name), self.uid, self.gid)
            os.lchown(place, self.uid, self.gid)


def suitable() -> tuple[Account, ...]:
    """The accounts Postgres may run as here, the best first."""
    if os.geteuid() != 0:
        return (Account.myself(),)
    namespace = (Account.namespaced(),) if sys.platform == "linux" else ()
    # `nobody` comes last: it may be shared with strangers, who could then read the cluster.
    present = {entry.pw_name for entry in pwd.getpwall()}
    return namespace + tuple(
        Account.dropped(name) for name in ("postgres", "nobody") if name in present
    )
