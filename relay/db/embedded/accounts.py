"""The account that Postgres runs as: Postgres refuses to run as root, and Relay may run as root."""

import os
import pwd
import sys
from pathlib import Path

import msgspec


class Account(msgspec.Struct, frozen=True):
    """An account for Postgres's programs.

    `identity` is the launcher's argument. `uid` and `gid` own the files, as Relay sees them.
    """

    name: str
    identity: str
    uid: int
    gid: int

    @classmethod
    def current_user(cls) -> "Account":
        """The user Relay runs as."""
        return cls("this user", "same", os.geteuid(), os.getegid())

    @classmethod
    def mapped_user(cls) -> "Account":
        """The current user, mapped to another one in a user namespace (Linux).

        Relay keeps owning the files, no folder needs a wider mode and no account is created.
        Inside, the user is any that exists, because initdb looks up its name; it gives no rights.
        """
        inner = next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)
        uid, gid = (inner.pw_uid, inner.pw_gid) if inner else (65534, 65534)
        return cls("a user namespace", f"map:{uid}:{gid}", os.geteuid(), os.getegid())

    @classmethod
    def system_account(cls, name: str) -> "Account":
        """A system account that root switches to. Raises KeyError if there is no such account."""
        entry = pwd.getpwnam(name)
        uid, gid = entry.pw_uid, entry.pw_gid
        return cls(f"the account {name}", f"drop:{uid}:{gid}", uid, gid)

    def grant_entry(self, folder: Path) -> None:
        """Let this account enter Relay's data folder, without listing it."""
        status = folder.stat()
        if self.identity.startswith("drop:") and not status.st_mode & 0o001:
            os.chown(folder, -1, self.gid)
            folder.chmod(status.st_mode & 0o777 | 0o010)

    def take_ownership(self, tree: Path) -> None:
        """Give a tree in the data folder to this account. Does nothing unless run as root."""
        if os.geteuid() != 0 or tree.stat().st_uid == self.uid:
            return
        # The top folder is last, so that an interrupted change is done again.
        for place, _, files in os.walk(tree, topdown=False):
            for name in files:
                os.lchown(os.path.join(place, name), self.uid, self.gid)
            os.lchown(place, self.uid, self.gid)


def list_accounts() -> tuple[Account, ...]:
    """The accounts that Postgres may run as here, in order of preference."""
    if os.geteuid() != 0:
        return (Account.current_user(),)
    namespace = (Account.mapped_user(),) if sys.platform == "linux" else ()
    # That account is last: other programs may share it, and could then read the cluster.
    present = {entry.pw_name for entry in pwd.getpwall()}
    return namespace + tuple(
        Account.system_account(name) for name in ("postgres", "nobody") if name in present
    )
