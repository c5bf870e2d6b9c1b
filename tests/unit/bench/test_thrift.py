"""A page needs of each peer what tells something, and all of it fits into its time."""

from bench.agenda import WORKLOADS, Workload
from bench.catalogue import CATALOGUE, COMPARED
from bench.forms import FORMS, PLAIN, TLS
from bench.options import arguments, run_config
from bench.peer import Peer
from bench.relay_peer import relay
from bench.run_config import RunConfig
from bench.schedule import TimeBudget, Turn, turns
from bench.thrift import page_config, page_needs

PAGE_MINUTES = 75
RESERVE_MINUTES = 5  # for a machine that is a little slower
CONFIG = run_config(arguments(["--page"], ""))
OURS = relay()
DURABLE, *IN_MEMORY = [peer for name in COMPARED for peer in CATALOGUE if peer.name == name]
PEERS = [OURS, DURABLE, *IN_MEMORY]


def config_of(turn: Turn, peer: Peer) -> RunConfig:
    return page_config(CONFIG, turn.workload, peer)


def page_turns() -> list[Turn]:
    workloads = [workload for workload in WORKLOADS if not workload.only_by_name]
    return turns(workloads, FORMS, PEERS, wanted=page_needs)


def named(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


def rounds(name: str, peer: Peer) -> list[tuple[str, int]]:
    found = page_turns()
    return [
        (turn.form.name, turn.round)
        for turn in found
        if turn.workload is named(name) and peer in turn.peers
    ]


def test_all_of_it_fits_into_the_time_of_the_page() -> None:
    budget = TimeBudget((PAGE_MINUTES - RESERVE_MINUTES) * 60, config_of, clock=lambda: 0.0)
    assert budget.left_out(page_turns()) == []


def test_relay_and_the_durable_peer_are_measured_three_times_in_what_aims_are_about() -> None:
    for workload in WORKLOADS:
        if workload.is_aim and workload.rounds == 3:
            for form in workload.forms:
                assert {(form.name, number) for number in (1, 2, 3)} <= set(
                    rounds(workload.name, OURS)
                )
    assert rounds("w1", DURABLE) == [
        (form, number) for number in (1, 2, 3) for form in ("plain", "TLS")
    ]


def test_peers_in_memory_are_measured_once_in_the_plain_form_and_two_shapes() -> None:
    for peer in IN_MEMORY:
        assert rounds("w1", peer) == [("plain", 1)]
        assert page_config(CONFIG, named("w1"), peer).shapes == CONFIG.form_shapes
    for peer in (OURS, DURABLE):
        assert page_config(CONFIG, named("w1"), peer).shapes == CONFIG.shapes
        assert page_config(CONFIG, named("w5"), peer).shapes == CONFIG.form_shapes


def test_the_durable_peer_resumes_once() -> None:
    assert rounds("w6", DURABLE) == [("plain", 1)]
    assert rounds("w6", OURS) == [("plain", 1), ("plain", 2), ("plain", 3)]
    assert not page_needs(named("w5"), TLS, 2, OURS)
    assert page_needs(named("w5"), PLAIN, 2, OURS)
