"""Prometheus: `metrics_snapshot()` of one or two feeds, latencies, and parity, under one prefix.

Every `_total` exists at zero from the first scrape, so that a rate is never missing because nothing
has gone wrong yet.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptofeed.defines import L2_BOOK
from prometheus_client import (
    CollectorRegistry,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backpack_feed.process.parity import CCXT, NATIVE, Parity

PREFIX = "backpack_feed_"
COUNTERS = {
    "ws_errors": "Connect failures, abnormal closes and venue error frames other than auth",
    "auth_failures": "Signatures that the venue refused",
    "dropped_messages": "Frames or events that could not be delivered",
    "decode_errors": "Frames that could not be read",
    "sequence_gaps": "Holes in the sequence of a book or of trades",
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
LATENCY_BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


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
    ) -> None:
        self._instance_id = instance_id
        self._read = read
        self._parity = parity

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
            yield from _parity_families(self._instance_id, self._parity)

    def _counters(self, readings: Sequence[Reading]) -> Iterator[Metric]:
        for key, text in COUNTERS.items():
            family = CounterMetricFamily(PREFIX + key, text, labels=["instance_id", "variant"])
            for reading in readings:
                family.add_metric([self._instance_id, reading.variant], reading.snapshot[key])
            yield family

    def _traffic(self, readings: Sequence[Reading]) -> Iterator[Metric]:
        for name, label, text in (
            ("messages", "channel", "Messages received"),
            ("trades", "symbol", "Trades delivered"),
        ):
            family = CounterMetricFamily(
                PREFIX + name, text, labels=["instance_id", "variant", label]
            )
            for reading in readings:
                for key, count in sorted(reading.snapshot[name].items()):
                    family.add_metric([self._instance_id, reading.variant, key], count)
            yield family

    def _gauges(self, readings: Sequence[Reading]) -> Iterator[Metric]:
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


def _parity_families(instance_id: str, parity: Parity) -> Iterator[Metric]:
    plain = {
        "parity_matched": ("Trades equal on both sides", parity.trades_matched),
        "parity_book_compared": ("Books compared at the same sequence", parity.books_compared),
        "parity_book_mismatched": ("Books that differed", parity.books_mismatched),
    }
    for name, (text, value) in plain.items():
        family = CounterMetricFamily(PREFIX + name, text, labels=["instance_id"])
        family.add_metric([instance_id], value)
        yield family
    sided = {
        "parity_missing": ("Trades that only the other feed delivered", parity.trades_missing),
        "parity_altered": ("Trades with another side, price or amount", parity.trades_altered),
    }
    for name, (text, counts) in sided.items():
        family = CounterMetricFamily(PREFIX + name, text, labels=["instance_id", "variant"])
        for variant in (CCXT, NATIVE):
            family.add_metric([instance_id, variant], counts[variant])
        yield family


class LatencyObserver:
    """The last callback of each channel: measures what the sinks before it took.

    exchange latency: venue timestamp → receipt; handler latency: receipt → every sink has it.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        instance_id: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        labels = ["instance_id", "variant", "channel"]
        self._clock = clock
        self._instance_id = instance_id
        self._exchange = Histogram(
            PREFIX + "exchange_latency_seconds",
            "Venue timestamp to receipt of a live message",
            labels,
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._handler = Histogram(
            PREFIX + "handler_latency_seconds",
            "Receipt to delivered to every sink",
            labels,
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    def callback(self, variant: str, channel: str) -> Callable[[Any, float], Any]:
        """Return a cryptofeed callback that observes one channel of one feed."""
        labels = (self._instance_id, variant, channel)
        handler = self._handler.labels(*labels)
        # on books only: a trade from REST is as old as the hole that it fills
        exchange = self._exchange.labels(*labels) if channel == L2_BOOK else None

        async def observe(item: Any, receipt_timestamp: float) -> None:
            handler.observe(max(0.0, self._clock() - receipt_timestamp))
            if exchange is not None and item.timestamp:
                exchange.observe(max(0.0, receipt_timestamp - item.timestamp))

        return observe


def build_registry() -> CollectorRegistry:
    """Return a registry that holds this process's own metrics (start time, CPU, memory)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry
