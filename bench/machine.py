"""This machine: which cores are used for what, what processes use, and its description."""

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SERVER_CORES: frozenset[int]
OTHER_CORES: frozenset[int]
if (os.cpu_count() or 1) > 1:
    SERVER_CORES, OTHER_CORES = frozenset({0}), frozenset({1})
else:
    SERVER_CORES = OTHER_CORES = frozenset({0})

_TICK = os.sysconf("SC_CLK_TCK")
POSTGRES = "postgres"


def raise_descriptor_limit() -> None:
    """Raise the limit of open files to the hard limit; child processes inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """Processes that start inside the block run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, cores: frozenset[int]) -> None:
    """Pin a process with all its threads; one that has ended is ignored."""
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                os.sched_setaffinity(int(thread), cores)


def process_tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                parent = int(_stat(int(entry))[1])
                children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def is_postgres(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == POSTGRES
    return False


def cpu_seconds(pid: int) -> float:
    """The CPU seconds of a process, its ended children included; 0 if it has ended."""
    with suppress(OSError):
        return sum(int(ticks) for ticks in _stat(pid)[11:15]) / _TICK
    return 0.0


def memory_kib(pid: int) -> int:
    """The proportional set size (PSS): shared pages count in proportion."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, parent and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


@dataclass(frozen=True, slots=True)
class Load:
    """CPU use, in cores."""

    server: float
    postgres: float
    generator: float
    others: float  # all other programs: noise
    stolen: float  # taken by the machine's host for others: noise, too


class Meter:
    """Measures CPU use from its creation until `read`."""

    def __init__(self, server: list[int], postgres: list[int]) -> None:
        self._server, self._postgres = server, postgres
        self._began = time.perf_counter()
        self._before = self._now()

    def _now(self) -> tuple[float, float, float, float, float]:
        server = sum(cpu_seconds(pid) for pid in self._server)
        postgres = sum(cpu_seconds(pid) for pid in self._postgres)
        return server, postgres, time.process_time(), *_busy_and_stolen()

    def read(self) -> Load:
        seconds = time.perf_counter() - self._began
        server, postgres, ours, busy, stolen = (
            (now - before) / seconds for now, before in zip(self._now(), self._before, strict=True)
        )
        others = max(0.0, busy - server - postgres - ours)
        return Load(*(round(value, 3) for value in (server, postgres, ours, others, stolen)))


def _busy_and_stolen() -> tuple[float, float]:
    """The seconds of all cores together that programs had, and that the hypervisor stole."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _wait, hard, soft, stolen = fields[:8]
    return (user + nice + system + hard + soft) / _TICK, stolen / _TICK


def describe_machine(folder: Path) -> dict[str, object]:
    """The machine's properties that the figures depend on."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "flushes_per_second": _flushes(folder),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _flushes(folder: Path, count: int = 200) -> int:
    """How many writes of 8 KiB this disk flushes per second, which bounds the commits."""
    path = folder / "flushes"
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        began = time.perf_counter()
        for _ in range(count):
            os.pwrite(file, bytes(8192), 0)
            os.fdatasync(file)
        return round(count / (time.perf_counter() - began))
    finally:
        os.close(file)
        path.unlink()
