"""Prometheus: `metrics_snapshot()` of one or two feeds, and parity, under one prefix.

Every `_total` exists at zero from the first scrape, so that a rate is never missing because nothing
has gone wrong yet.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backpack_feed.process.parity import Parity
from backpack_feed.process.parity_metrics import parity_families

PREFIX = "backpack_feed_"
COUNTERS = {
    "ws_errors": "Connect failures, abnormal closes and venue error frames other than auth",
    "auth_failures": "Signatures that the venue refused",
    "dropped_messages": "Frames or events that could not be delivered",
    "decode_errors": "Frames that could not be read",
    "sequence_gaps": "Holes in the sequence of a book or of trades",
    "sequence_overlaps": "Deltas that partly repeated what the book had, and were applied",
    "future_timestamps": "Trades from more than a minute ahead of our clock, delivered",
    "book_resyncs": "Books rebuilt from a REST snapshot after the first time",
    "reconnects": "Connections made after the first",
    "trade_duplicates": "Trades dropped because their id was already delivered",
    "trades_backfilled": "Trades delivered from REST",
    "trades_lost": "Trades that REST could not give back either",
}
PER_SYMBOL_GAUGES = {
    "symbol_snapshot_age": (
        "symbol_snapshot_age_seconds",
        "Seconds since the book was last advanced by its stream or confirmed unchanged",
    ),
    "last_message_timestamp": (
        "last_message_timestamp_seconds",
        "Unix time of the last message of this symbol",
    ),
}
TRAFFIC = (
    ("messages", "channel", "Messages received"),
    ("trades", "symbol", "Trades delivered"),
    ("decode_error_kinds", "kind", "Frames that could not be read, by why"),
    ("suppressed", "reason", "Frames and events that were rightly not published, by why"),
    ("rest", "event", "REST requests, and what befell them; none for the ccxt feed"),
    ("ccxt_defects", "kind", "What ccxt did wrong, by kind; none for the native feed"),
)
"""Counters with one more label: key, label and text. Every label comes from a fixed set."""


@dataclass(frozen=True)
class Reading:
    """One look at one feed."""

    variant: str
    snapshot: Mapping[str, Any]
    ready: bool
    healthy: bool


class FeedCollector(Collector):
    """Asks every feed at scrape time; nothing is counted twice or kept here."""

    def __init__(
        self,
        instance_id: str,
        read: Callable[[], Sequence[Reading]],
        *,
        parity: Parity | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instance_id = instance_id
        self._read = read
        self._parity = parity
        self._monotonic = monotonic

    def describe(self) -> Iterable[Metric]:
        """Tell the registry nothing in advance: asking a feed needs a running loop."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family, once, for all feeds of the process."""
        readings = self._read()
        yield from self._counters(readings)
        yield from self._traffic(readings)
        yield from self._gauges(readings)
        if self._parity is not None:
            yield from parity_families(self._instance_id, self._parity, self._monotonic())

    def _counters(self, readings: Sequence[Reading]) -> Iterator[Metric]:
        for key, text in COUNTERS.items():
            family = CounterMetricFamily(PREFIX + key, text, labels=["instance_id", "variant"])
            for reading in readings:
                family.add_metric([self._instance_id, reading.variant], reading.snapshot[key])
            yield family

    def _traffic(self, readings: Sequence[Reading]) -> Iterator[Metric]:
        for name, label, text in TRAFFIC:
            family = CounterMetricFamily(
                PREFIX + name, text, labels=["instance_id", "variant", label]
            )
            for reading in readings:
                for key, count in sorted(reading.snapshot[name].items()):
                    family.add_metric([self._instance_id, reading.variant, key], count)
            yield family

    def _gauges(self, readings: Sequence[Reading]) -> Iterator[Metric]:
        yield self._socket_down(readings)
        for key, (name, text) in PER_SYMBOL_GAUGES.items():
            family = GaugeMetricFamily(
                PREFIX + name, text, labels=["instance_id", "variant", "symbol"]
            )
            for reading in readings:
                for symbol, value in sorted(reading.snapshot[key].items()):
                    family.add_metric([self._instance_id, reading.variant, symbol], value)
            yield family
        flags: dict[str, Callable[[Reading], bool]] = {
            "ready": lambda reading: reading.ready,
            "healthy": lambda reading: reading.healthy,
            "private_authenticated": lambda reading: reading.snapshot["private_authenticated"],
        }
        for name, ask in flags.items():
            family = GaugeMetricFamily(
                PREFIX + name, f"1 when {name}, else 0", labels=["instance_id", "variant"]
            )
            for reading in readings:
                family.add_metric([self._instance_id, reading.variant], int(ask(reading)))
            yield family

    def _socket_down(self, readings: Sequence[Reading]) -> Metric:
        family = GaugeMetricFamily(
            PREFIX + "socket_down_seconds",
            "Seconds since the socket was last open, 0 while it is",
            labels=["instance_id", "variant"],
        )
        for reading in readings:
            seconds = reading.snapshot["socket_down_seconds"]
            family.add_metric([self._instance_id, reading.variant], seconds)
        return family


def build_registry() -> CollectorRegistry:
    """Return a registry that holds this process's own metrics (start time, CPU, memory)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry
