"""The command line of `python -m bench`: what is measured, in which forms, and of which peers."""

import argparse
import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.agenda import WORKLOADS, Workload
from bench.catalogue import CATALOGUE, COMPARED
from bench.forms import FORMS, Form, named
from bench.peer import Peer
from bench.processes import ROOT
from bench.relay_peer import relay
from bench.run_config import RunConfig
from bench.shapes import SHAPES

PAGE_SECONDS = 3.0  # of posting in a case of `--page`; what is at a fixed rate keeps its length


def arguments(given: Sequence[str], description: str) -> argparse.Namespace:
    titles: dict[str, list[str]] = {}
    for workload in WORKLOADS:
        titles.setdefault(workload.name, []).append(workload.title)
    descriptions = "\n".join(f"  {name:6} {'; '.join(of_name)}" for name, of_name in titles.items())
    peers = "\n".join(f"  {peer.name:16} {peer.title}" for peer in CATALOGUE)
    forms = "\n".join(f"  {form.name:16} {form.title}" for form in FORMS)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=description.replace("\b\n", ""),
        epilog=f"workloads:\n{descriptions}\n\nforms:\n{forms}\n\npeers, besides relay:\n{peers}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("workloads", nargs="*", metavar="WORKLOAD", help="workloads to run; default: all")
    add(
        "--peers",
        metavar="NAME,...",
        help="peers to measure; `compared`: relay and those in the page's summary; default: all",
    )
    add(
        "--rounds",
        type=int,
        help="rounds of each workload, of which figures are the medians; default: three, or one,"
        " as the page shows them",
    )
    add("--seconds", type=float, help="seconds of posting in each case (5; 10 at the fixed rate)")
    add("--shapes", metavar="NAME,...", help="shapes of events in W1, W4 and W5; default: all")
    add("--forms", metavar="NAME,...", help="forms of W1, W2 and W5; default: all")
    add(
        "--minutes",
        type=float,
        help="what would not end within this time is left out, and named before the run begins;"
        " every round before it is whole. The parts of a run that is continued count together",
    )
    add(
        "--page",
        action="store_true",
        help="measure only what the page needs of each peer: in short cases, and those in memory"
        " once; with `--peers compared`",
    )
    add(
        "--continue",
        dest="go_on",
        action="store_true",
        help="go on with the run in --out if it was interrupted, on the same machine and commit",
    )
    add("--quick", action="store_true", help="short and small: the figures are too noisy to quote")
    add(
        "--against",
        action="append",
        default=[],
        metavar="COMMIT",
        help="also measure this commit of Relay",
    )
    add(
        *("--relay-env",),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting for every Relay that is measured",
    )
    add(
        *("--variant",),
        action="append",
        default=[],
        metavar="NAME=VALUE,...",
        help="also measure Relay with these settings",
    )
    add("--out", metavar="FILE", help="file for the results as JSON lines (.bench/TIME.jsonl)")
    found = parser.parse_args(given)
    if unknown := set(found.workloads) - titles.keys():
        parser.error(f"no such workload: {', '.join(unknown)}; there are {', '.join(titles)}")
    if found.shapes and (strange := set(found.shapes.split(",")) - {each.name for each in SHAPES}):
        known = ", ".join(shape.name for shape in SHAPES)
        parser.error(f"no such shape: {', '.join(strange)}; there are {known}")
    if found.forms and (strange := set(found.forms.split(",")) - {form.name for form in FORMS}):
        known = ", ".join(form.name for form in FORMS)
        parser.error(f"no such form: {', '.join(strange)}; there are {known}")
    if found.go_on and not found.out:
        parser.error("--continue needs the run's file: --out FILE")
    if found.rounds is not None and found.rounds < 1:
        parser.error("--rounds must be at least 1")
    return found


def run_config(options: argparse.Namespace) -> RunConfig:
    """The length and size of the run that was asked for."""
    config = RunConfig.quick() if options.quick else RunConfig()
    if options.page:
        config = replace(config, seconds=min(config.seconds, PAGE_SECONDS))
    if options.seconds:
        config = replace(config, seconds=options.seconds, steady=options.seconds)
    if options.shapes:
        shapes = tuple(options.shapes.split(","))
        config = replace(config, shapes=shapes, form_shapes=shapes)
    return config


def picked_forms(options: argparse.Namespace) -> tuple[Form, ...]:
    return named(options.forms.split(",")) if options.forms else FORMS


def picked_workloads(names: Sequence[str]) -> list[Workload]:
    return [
        workload
        for workload in WORKLOADS
        if workload.name in names or (not names and not workload.only_by_name)
    ]


@contextlib.contextmanager
def selected_peers(options: argparse.Namespace) -> Iterator[list[Peer]]:
    """The selected peers; variants and other commits of Relay follow Relay itself."""
    environ = pairs(options.relay_env)
    ours = [relay(environ=environ)]
    ours += [relay(f"relay+{text}", environ | pairs(text.split(","))) for text in options.variant]
    with contextlib.ExitStack() as stack:
        for name in options.against:
            checkout = stack.enter_context(worktree(name))
            ours.append(relay(f"relay@{name}", environ, checkout))
        known = {peer.name: peer for peer in CATALOGUE}
        names = options.peers.split(",") if options.peers else ["relay", *known]
        if names == ["compared"]:
            names = ["relay", *COMPARED]
        if unknown := set(names) - known.keys() - {"relay"}:
            raise SystemExit(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
        if options.against and not options.peers:
            names = ["relay"]  # compare two commits of Relay only
        found = ours if "relay" in names else []
        yield [*found, *(known[name] for name in names if name in known)]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    found = dict(text.partition("=")[::2] for text in texts)
    if not all(found):
        raise SystemExit("an environment variable is given as NAME=VALUE")
    return found


@contextlib.contextmanager
def worktree(name: str) -> Iterator[Path]:
    """A checkout of another commit, removed when the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), name], check=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)
