"""Latency histograms that cost a fraction of a microsecond to feed.

prometheus_client's own histogram locks, scans and allocates at every value, several times per event
of a feed. Here observing is a binary search and an addition; everything else waits for the scrape.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import accumulate
from typing import Any, Final

from cryptofeed.defines import TRADES
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from backpack_feed.constants import BACKFILL, FILLS

BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
)  # fmt: skip
"""Upper bounds in seconds."""

EXCHANGE_LATENCY: Final = "backpack_feed_exchange_latency_seconds"
HANDLER_LATENCY: Final = "backpack_feed_handler_latency_seconds"
_TEXTS: Final = {
    EXCHANGE_LATENCY: "Venue timestamp to receipt of a live message",
    HANDLER_LATENCY: "Receipt to delivered to every sink",
}

Observe = Callable[[Any, float], Coroutine[Any, Any, None]]


class Histogram:
    """Counts of seconds per bucket; a negative time, as after a step of the clock, counts as 0."""

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        if seconds > 0.0:
            self._sum += seconds

    def add_to(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        """Add this series to `family`."""
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        family.add_metric(labels, buckets, self._sum)


class LatencyObserver(Collector):
    """The last callback of each channel: measures what the sinks before it took.

    exchange latency: venue timestamp → receipt; handler latency: receipt → every sink has it.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        instance_id: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> None:
        self._clock = clock
        self._instance_id = instance_id
        self._series: dict[str, dict[tuple[str, str], Histogram]] = {
            EXCHANGE_LATENCY: {},
            HANDLER_LATENCY: {},
        }
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Tell the registry nothing in advance: the channels are not known yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield both families; a series exists from the moment its callback was made."""
        for name, series in self._series.items():
            family = HistogramMetricFamily(
                name, _TEXTS[name], labels=["instance_id", "variant", "channel"]
            )
            for (variant, channel), histogram in series.items():
                histogram.add_to(family, [self._instance_id, variant, channel])
            yield family

    def callback(self, variant: str, channel: str) -> Observe:
        """Return a cryptofeed callback that observes one channel of one feed."""
        clock = self._clock
        handler = self._series[HANDLER_LATENCY][variant, channel] = Histogram()
        exchange = self._series[EXCHANGE_LATENCY][variant, channel] = Histogram()

        async def observe(event: Any, receipt_timestamp: float) -> None:
            handler.observe(clock() - receipt_timestamp)
            timestamp = event.timestamp
            if timestamp:
                exchange.observe(receipt_timestamp - timestamp)

        async def observe_trade(trade: Any, receipt_timestamp: float) -> None:
            handler.observe(clock() - receipt_timestamp)
            # a trade from REST is as old as the hole that it fills
            if trade.type != BACKFILL:
                exchange.observe(receipt_timestamp - trade.timestamp)

        async def observe_fill(fill: Any, receipt_timestamp: float) -> None:
            handler.observe(clock() - receipt_timestamp)
            if not fill.backfilled:
                exchange.observe(receipt_timestamp - fill.timestamp)

        return {TRADES: observe_trade, FILLS: observe_fill}.get(channel, observe)
