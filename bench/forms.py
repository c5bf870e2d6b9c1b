"""The forms in which one server runs and is read, beside the plain one, and what they cost it.

A form is measured like the plain one, of which it differs in one thing, so that its figures stand
beside the plain ones. A peer without such a form is compared by its plain figures.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.certificates import new_certificate
from bench.machine import OTHER_CORES, SERVER_CORES
from bench.peer import Peer, StartOptions


@dataclass(frozen=True, slots=True)
class Form:
    """`workers` are the server's processes; then it may use all cores.

    `tasks`: each stream asks for the user's tasks, too. `channels`: each user has a channel.
    """

    name: str
    title: str
    tls: bool = False
    workers: int = 1
    tasks: bool = False
    channels: bool = False

    @property
    def is_plain(self) -> bool:
        return self == PLAIN

    def names(self, case: str) -> str:
        """The case's name in this form."""
        return case if self.is_plain else f"{case}, {self.name}"

    def applies_to(self, peer: Peer) -> bool:
        if self.tasks or self.channels:
            return peer.is_relay
        return self.workers == 1 or peer.multi_process

    @contextmanager
    def start_options(self) -> Iterator[StartOptions]:
        """How a peer is started in this form; valid until the block ends."""
        with ExitStack() as stack:
            yield StartOptions(
                workers=self.workers,
                cores=SERVER_CORES if self.workers == 1 else SERVER_CORES | OTHER_CORES,
                certificate=stack.enter_context(new_certificate()) if self.tls else None,
                tasks=self.tasks,
                channels=self.channels,
            )


PLAIN = Form("plain", "one process, no TLS, streams of events alone")
TLS = Form("TLS", "posts and streams over TLS, with a certificate that clients verify", tls=True)
TASKS = Form("tasks=1", "streams that ask for the tasks, too: Relay alone", tasks=True)
CHANNELS = Form("a channel each", "each user has a webhook channel: Relay alone", channels=True)
WORKERS = Form("two processes", "two processes, where several can serve the same users", workers=2)
FORMS = (PLAIN, TLS, TASKS, CHANNELS, WORKERS)


def named(names: Sequence[str]) -> tuple[Form, ...]:
    """The forms of these names, in the order of FORMS."""
    return tuple(form for form in FORMS if form.name in names)


def plain_case(case: str) -> str:
    """The name of the same case in the plain form."""
    for form in FORMS:
        case = case.removesuffix(f", {form.name}")
    return case
