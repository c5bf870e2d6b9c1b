"""What the load generator can do: against a server that does nothing, it is the one measured."""

from dataclasses import replace

from bench.catalogue import NULL, Ask
from bench.results import Results, number
from bench.workloads import Order, fan_out, one_by_one

SATURATED = 0.9  # of its core: from there on, what is measured may be the generator


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """Its rates, and how busy both sides were."""
    order = replace(Order(), seconds=seconds, steady=0.0, fans=(100,))
    found = {}
    for name, workload in (("w1", one_by_one), ("w2", fan_out)):
        with NULL.start(Ask()) as scene:
            (record,) = workload(NULL, scene, order)
            if not record["good"]:
                raise RuntimeError(f"the generator itself is wrong: {record['wrong']}")
            found[name] = {
                "rate": record["rate"],
                "generator": record["load"]["generator"],
                "server": record["load"]["server"],
            }
    return found


def said(results: Results) -> str:
    (record,) = results.told("headroom")
    parts = [
        f"{number(each['rate'])} {unit} with {each['generator']:.0%} of its core"
        f" (the null server: {each['server']:.0%})"
        for each, unit in (
            (record["headroom"]["w1"], "events/s in W1"),
            (record["headroom"]["w2"], "deliveries/s in W2"),
        )
    ]
    return f"headroom of the generator: {'; '.join(parts)}"
