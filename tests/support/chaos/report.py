"""What a run tells: a line now and then, a table at the end, and the evidence of what broke."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.accounts import Account, Attempt

MOST_SHOWN = 20  # broken promises; the first ones tell most
LAST_FAULTS = 30  # that were done to the hosts before


@dataclass
class History:
    """What was done to the hosts, as it happened."""

    lines: list[str] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)  # by kind
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def note(self, at: float, kind: str, what: str, lasted: float) -> None:
        """A fault of this kind ended `at` seconds after the start, and `lasted` so many."""
        self.lines.append(f"{at - lasted:7.1f} to {at:7.1f} s  {what}")
        self.times[kind] += 1
        self.seconds[kind] += lasted


def progress(at: float, accounts: Iterable[Account], now: Iterable[str], faults: int) -> str:
    """One line: how far the load and the faults are."""
    users = list(accounts)
    events = sum(len(user.acknowledged) for user in users)
    behind = [user.last_acknowledged - reader.seq for user in users for reader in user.readers]
    wrong = ", ".join(now) or "nothing"
    return (
        f"{at:5.0f} s  {events:7} events, readers behind by {max([0, *behind])} at most,"
        f" {faults} faults; now {wrong}"
    )


def table(history: History, accounts: list[Account], attempts: list[Attempt]) -> str:
    """What was done, and what each user's producers and readers saw."""
    rows = [f"{'fault':30} {'times':>6} {'seconds':>8}"]
    rows += [
        f"{kind:30} {times:6} {history.seconds[kind]:8.0f}"
        for kind, times in history.times.most_common()
    ]
    rows += ["", f"{'user':30} {'acknowledged':>12} {'readers read':>24} {'reopened':>9}"]
    for user in accounts:
        read = "/".join(str(len(reader.seen)) for reader in user.readers)
        reopened = sum(len(reader.ends) + len(reader.refusals) for reader in user.readers)
        rows.append(f"{user.name:30} {len(user.acknowledged):12} {read:>24} {reopened:9}")
    answers = Counter(str(one.status or "no answer") for one in attempts)
    rows += ["", "posts: " + ", ".join(f"{n} {kind}" for kind, n in answers.most_common())]
    return "\n".join(rows)


def evidence(findings: list[str], history: History, folder: Path) -> str:
    """What is wrong, and where to look."""
    more = len(findings) - MOST_SHOWN
    rows = ["BROKEN PROMISES", *findings[:MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    rows += ["", "the last faults before the end:", *history.lines[-LAST_FAULTS:]]
    rows += ["", f"logs of all processes: {folder}"]
    return "\n".join(rows)
