"""What a scrape of the metrics gets."""

import os
from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector


def exposition(accept: str) -> tuple[Callable[[], bytes], str]:
    """A function that makes the body of a scrape, and its media type.

    With several workers it covers all of them, whichever is scraped.
    """
    encode, media_type = choose_encoder(accept)

    def make() -> bytes:
        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return encode(registry)

    return make, media_type
