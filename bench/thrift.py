"""What the page needs of each peer, so that all of it fits into 75 minutes.

Relay and the peer that stores events are measured in every round, but for what takes that peer
minutes: their ratios are what Relay is held to. The peers in memory show the distance, which is
many times as large as the spread of the rounds: one round of them is enough, in the plain form and
two shapes. What is like something else over SSE, W5 and idle streams, is measured in less, too.
"""

from dataclasses import replace

from bench.agenda import Workload
from bench.forms import Form
from bench.peer import Peer
from bench.run_config import RunConfig

DURABLE_ONCE = ("w6",)  # takes the durable peer minutes; its figure is far from Relay's
NOT_IN_MEMORY = ("idle SSE streams",)  # titles


def page_needs(workload: Workload, form: Form, number: int, peer: Peer) -> bool:
    """Whether the page needs this peer in this round. Rounds count from 1."""
    if not (peer.is_relay or peer.durable):
        return number == 1 and form.is_plain and workload.title not in NOT_IN_MEMORY
    if workload.name == "w5" and not form.is_plain:
        return number == 1
    return number == 1 or peer.is_relay or workload.name not in DURABLE_ONCE


def page_config(config: RunConfig, workload: Workload, peer: Peer) -> RunConfig:
    """The shapes that the page needs of this peer."""
    if workload.name == "w5" or not (peer.is_relay or peer.durable):
        config = replace(config, shapes=config.form_shapes)
    return config
