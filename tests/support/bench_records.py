"""Records of a run, as the load generator writes them."""


def record(peer: str, turn: int, rate: float, **more: object) -> dict[str, object]:
    load = {"server": 1.0, "generator": 0.4, "postgres": 0.2, "others": 0.1, "stolen": 0.02}
    return {
        **{"workload": "w1", "case": "at most", "peer": peer, "round": turn},
        **{"rate": rate, "unit": "events/s", "good": True, "delivered": True, "load": load},
        **more,
    }
