"""Measure the load generator itself, against a server that does nothing."""

from dataclasses import replace

from bench.catalogue import NULL
from bench.peer import StartOptions
from bench.results import Results, number
from bench.run_config import RunConfig
from bench.workloads import fan_out, one_by_one


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """The generator's rates, and the CPU use of both sides."""
    config = replace(RunConfig(), seconds=seconds, steady=0.0, fans=(100,), shapes=("tidy",))
    found = {}
    for name, workload in (("w1", one_by_one), ("w2", fan_out)):
        with NULL.start(StartOptions()) as instance:
            (record,) = workload(NULL, instance, config)
            if not record["good"]:
                raise RuntimeError(f"the load generator is faulty: {record['wrong']}")
            found[name] = {
                "rate": record["rate"],
                "generator": record["load"]["generator"],
                "server": record["load"]["server"],
            }
    return found


def summary(results: Results) -> str:
    """One line about the headroom; empty if it was not measured."""
    records_with = results.records_with("headroom")
    if not records_with:
        return ""
    parts, (record,) = [], records_with
    for name, unit in (("w1", "events/s in W1"), ("w2", "deliveries/s in W2")):
        each = record["headroom"][name]
        share = max(each["generator"], 0.001)
        parts.append(
            f"{number(each['rate'] / share)} {unit} (it did {number(each['rate'])} with"
            f" {share:.0%} of a core, the null server with {each['server']:.0%})"
        )
    return f"On a core of its own, the load generator can do about {' and '.join(parts)}.\n"
