"""Relay in each form of a run delivers every event, to streams of both kinds."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial

import pytest

from bench.clients import Clients
from bench.forms import FORMS, TASKS, Form
from bench.generator import TIMEOUT_SECONDS, Generator, Watcher, generator
from bench.posting import post_count
from bench.relay_peer import relay

USERS, EACH = 4, 8


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_event_arrives_in_every_form(form: Form) -> None:
    peer = relay()
    with form.start_options() as options, peer.start(options) as instance:
        for kind in ("ws", "sse"):
            with generator(instance.tls) as load:
                clients = Clients(load, peer, instance, instance.endpoints(USERS, True), kind)
                with closing(clients):
                    clients.watch(missed=True)  # so that it does not matter when they subscribe
                    clients.produce()
                    post = partial(post_count, load, clients.posters, EACH)
                    phase = clients.phase(post, stored=True)
                    assert str(phase.verdict) == "all correct"
                    assert phase.verdict.correct == USERS * EACH
                    assert not phase.refused
                    if form == TASKS:
                        await_task_messages(load, clients.watchers)


def await_task_messages(load: Generator, watchers: Sequence[Watcher]) -> None:
    """Read until every stream has one: it is a stream that asked for tasks."""
    load.run_until(
        lambda: all(b'"type":"task"' in watcher.data for watcher in watchers),
        TIMEOUT_SECONDS,
        "messages about tasks",
    )
