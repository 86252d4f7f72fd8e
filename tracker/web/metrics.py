"""Numbers for Prometheus. With several processes, each writes to PROMETHEUS_MULTIPROC_DIR."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from tracker.store.spool import Spool, SpoolError

_RECEIVED = Counter("tracker_postbacks_received", "Events kept, by what they did.", ["outcome"])
_REFUSED = Counter("tracker_postbacks_refused", "Requests not kept, by the reason.", ["reason"])
_BATCH = Histogram(
    "tracker_postback_batch_size", "Requests that shared one commit.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)  # fmt: skip
_COMMIT = Histogram("tracker_postback_commit_seconds", "From the first statement to the commit.")


def received(outcome: str) -> None:
    """Count an event that was kept."""
    _RECEIVED.labels(outcome).inc()


def refused(reason: str) -> None:
    """Count a request of which nothing was kept, or that should not have come."""
    _REFUSED.labels(reason).inc()


def batch(size: int, seconds: float) -> None:
    """Note one commit of the receiver."""
    _BATCH.observe(size)
    _COMMIT.observe(seconds)


def page(spool: Spool) -> bytes:
    """Return the numbers of all processes, and those of the spool as it is now."""
    here = CollectorRegistry()
    here.register(_SpoolCollector(spool))
    everywhere = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        everywhere = CollectorRegistry()
        MultiProcessCollector(everywhere)  # type: ignore[no-untyped-call]  # registers itself
    return generate_latest(everywhere) + generate_latest(here)


class _SpoolCollector(Collector):
    """The spool is files of all processes: counted when asked for."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            state = self._spool.state()
        except SpoolError:
            return  # no number is better than a wrong one
        age = (datetime.now(UTC) - state.oldest_at).total_seconds() if state.oldest_at else 0.0
        for name, help_text, value in (
            ("tracker_spool_records", "Postbacks that wait for the database.", state.records),
            ("tracker_spool_bytes", "Bytes of the spool's files.", state.bytes),
            ("tracker_spool_oldest_seconds", "Age of the oldest one.", age),
            ("tracker_spool_damaged", "Pieces set aside because they were damaged.",
             state.set_aside),
        ):  # fmt: skip
            yield GaugeMetricFamily(name, help_text, value=value)
