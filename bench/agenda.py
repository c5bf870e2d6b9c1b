"""All workloads: which peers, forms and rounds each takes, and about how long it takes them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from bench.flood import ENVIRON as FLOOD_ENVIRON
from bench.flood import flood
from bench.forms import CHANNELS, PLAIN, TASKS, TLS, WORKERS, Form
from bench.frames import frames
from bench.idle_processes import idle_processes
from bench.notified import ENVIRON as NOTIFIED_ENVIRON
from bench.notified import notified
from bench.opening import ENVIRON as OPENING_ENVIRON
from bench.opening import opening
from bench.peer import Peer, PeerInstance
from bench.results import Record
from bench.run_config import RunConfig
from bench.tail import tail
from bench.watched_command import watched_command
from bench.workloads import (
    STEADY_SHAPES,
    batches,
    fan_out,
    idle,
    one_by_one,
    reconnect_storm,
    short,
)

Seconds = Callable[[RunConfig], float]

START_SECONDS = 4.0  # to start a peer, and to stop it
CASE_SECONDS = 2.0  # of a case beside its posting: users, streams, the check of all bytes


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    title: str
    run: Callable[[Peer, PeerInstance, RunConfig], Iterator[Record]]
    applies_to: Callable[[Peer], bool] = lambda peer: True
    forms: tuple[Form, ...] = (PLAIN,)
    rounds: int = 3  # unless the command line says otherwise
    is_aim: bool = False  # one of Relay's aims is about it
    seconds: Seconds = lambda _: 60.0  # about what it takes one peer
    environ: Mapping[str, str] = field(default_factory=dict)
    only_by_name: bool = False  # run only if it is named on the command line


def has_sse(peer: Peer) -> bool:
    return "sse" in peer.streams


def only_relay(peer: Peer) -> bool:
    return peer.is_relay


def _cases(count: int, config: RunConfig) -> float:
    return START_SECONDS + count * (config.seconds + CASE_SECONDS)


def _steady(count: int, config: RunConfig) -> float:
    return count * (config.steady + CASE_SECONDS)


def _of_single_events(config: RunConfig) -> float:
    steady = [shape for shape in config.picked_shapes if shape.name in STEADY_SHAPES]
    return _cases(len(config.picked_shapes), config) + _steady(len(steady), config)


def _of_idle_streams(config: RunConfig) -> float:
    return START_SECONDS + config.idle / 500 + config.idle_seconds + 2 * CASE_SECONDS


def _of_resumes(config: RunConfig) -> float:
    events = config.resumes * config.missed
    return START_SECONDS + events / 50_000 + events / 200_000 + 2 * CASE_SECONDS


EACH_FORM = (PLAIN, WORKERS, TLS, TASKS, CHANNELS)
WORKLOADS = (
    Workload(
        "w1",
        "one event per POST, 64 users, WebSocket",
        one_by_one,
        forms=EACH_FORM,
        is_aim=True,
        seconds=_of_single_events,
    ),
    Workload(
        "w2",
        "one user's events to many sockets",
        fan_out,
        forms=(PLAIN, TLS, WORKERS),
        is_aim=True,
        seconds=lambda config: _cases(len(config.fans), config),
    ),
    Workload(
        "w3",
        "idle WebSockets",
        partial(idle, kind="ws"),
        is_aim=True,
        seconds=_of_idle_streams,
    ),
    Workload(
        "w3",
        "idle SSE streams",
        partial(idle, kind="sse"),
        has_sse,
        rounds=1,
        is_aim=True,
        seconds=_of_idle_streams,
    ),
    Workload(
        "w4",
        "NDJSON batches",
        batches,
        lambda peer: peer.batches,
        is_aim=True,
        seconds=lambda config: _cases(len(config.batches) * len(config.picked_shapes), config),
    ),
    Workload(
        "w5",
        "one event per POST, 64 users, SSE",
        partial(one_by_one, kind="sse"),
        has_sse,
        forms=EACH_FORM,
        seconds=_of_single_events,
    ),
    Workload(
        "w6",
        "all users reconnect at once",
        reconnect_storm,
        lambda peer: peer.resumes,
        is_aim=True,
        seconds=_of_resumes,
    ),
    Workload(
        "w7",
        "a watched command",
        watched_command,
        only_relay,
        seconds=lambda _: START_SECONDS + 2 * CASE_SECONDS,
    ),
    Workload(
        "w9",
        "events across two processes, beside idle ones",
        idle_processes,
        only_relay,
        rounds=1,
        is_aim=True,
        seconds=lambda config: 6 * (config.seconds + 20),
    ),
    Workload(
        "w10",
        "a user with many tasks opens the page",
        opening,
        only_relay,
        rounds=1,
        environ=OPENING_ENVIRON,
        seconds=lambda config: config.history / 20_000 + 60,
    ),
    Workload(
        "w11",
        "from a task's end to a receiver's socket",
        notified,
        only_relay,
        rounds=1,
        environ=NOTIFIED_ENVIRON,
        seconds=lambda config: START_SECONDS + _steady(4, config) + 20,
    ),
    Workload(
        "flood",
        "one user's latency during another user's flood",
        flood,
        only_relay,
        environ=FLOOD_ENVIRON,
        seconds=lambda config: START_SECONDS + _steady(6, config),
    ),
    Workload("short", "one event per POST, and fan-out: for CI", short, only_by_name=True),
    Workload("tail", "a flood in a terminal", tail, only_relay, only_by_name=True),
    Workload("frames", "a flood on the live page", frames, only_relay, only_by_name=True),
)
