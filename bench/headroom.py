"""What the load generator can do: against a server that does nothing, it is the one measured."""

from dataclasses import replace

from bench.catalogue import NULL
from bench.peer import Ask
from bench.results import Results, number
from bench.workloads import Order, fan_out, one_by_one


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
    """A line; nothing where it was not measured."""
    told = results.told("headroom")
    if not told:
        return ""
    parts, (record,) = [], told
    for name, unit in (("w1", "events/s in W1"), ("w2", "deliveries/s in W2")):
        each = record["headroom"][name]
        share = max(each["generator"], 0.001)
        parts.append(
            f"{number(each['rate'] / share)} {unit} (it did {number(each['rate'])} with"
            f" {share:.0%} of a core, the null server with {each['server']:.0%})"
        )
    return f"The load generator can do, on a core of its own, about {' and '.join(parts)}.\n"
