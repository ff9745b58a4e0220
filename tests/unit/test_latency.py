"""The latency histograms."""

import asyncio
import bisect
import time
from decimal import Decimal

import pytest
from cryptofeed.types import OrderBook, Trade
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as ClientHistogram
from prometheus_client.parser import text_string_to_metric_families

from backpack_feed.constants import BACKFILL
from backpack_feed.process.latency import BUCKETS, Histogram, LatencyObserver

D = Decimal


def trade(timestamp, kind=None):
    return Trade("BACKPACK", "A", "buy", D(1), D(1), timestamp, id="1", type=kind)


def book(timestamp):
    order_book = OrderBook("BACKPACK", "A", bids={}, asks={})
    order_book.timestamp = timestamp
    return order_book


class Observed:
    """An observer with a clock that a test sets."""

    def __init__(self):
        self.now = 100.5
        self.registry = CollectorRegistry()
        self.observer = LatencyObserver(self.registry, "feed-00", clock=lambda: self.now)

    def value(self, name, channel):
        labels = {"instance_id": "feed-00", "variant": "native", "channel": channel}
        return self.registry.get_sample_value(f"backpack_feed_{name}", labels)


@pytest.fixture
def observed():
    return Observed()


@pytest.mark.parametrize(("channel", "event"), [("l2_book", book(100.0)), ("trades", trade(100.0))])
async def test_latency_is_measured_from_venue_to_receipt_to_delivery(observed, channel, event):
    """Every channel with a venue timestamp counts for the wire and for the handler."""
    await observed.observer.callback("native", channel)(event, 100.25)
    assert observed.value("exchange_latency_seconds_sum", channel) == 0.25
    assert observed.value("handler_latency_seconds_sum", channel) == 0.25
    assert observed.value("exchange_latency_seconds_count", channel) == 1


async def test_series_exist_before_anything_is_observed(observed):
    """A quantile over a channel that is still quiet is no data, and its rate is zero."""
    observed.observer.callback("native", "funding")
    assert observed.value("handler_latency_seconds_count", "funding") == 0
    assert observed.value("exchange_latency_seconds_sum", "funding") == 0


async def test_what_has_no_live_venue_time_is_left_out_of_the_wire(observed):
    """A trade from REST is as old as the hole that it fills; ccxt's candles carry no time."""
    await observed.observer.callback("native", "trades")(trade(5.0, BACKFILL), 100.25)
    await observed.observer.callback("native", "l2_book")(book(None), 100.25)
    for channel in ("trades", "l2_book"):
        assert observed.value("exchange_latency_seconds_count", channel) == 0
        assert observed.value("handler_latency_seconds_count", channel) == 1


async def test_a_step_of_the_clock_is_never_negative(observed):
    """A negative latency would make the sum of a counter fall."""
    await observed.observer.callback("native", "trades")(trade(200.0), 101.0)
    assert observed.value("exchange_latency_seconds_sum", "trades") == 0
    assert observed.value("handler_latency_seconds_sum", "trades") == 0
    assert observed.value("handler_latency_seconds_count", "trades") == 1


@given(st.lists(st.floats(0, 20), max_size=40))
def test_buckets_are_those_of_the_client_library(values):
    """The same values in prometheus_client's own histogram give the same exposition."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    observer = LatencyObserver(ours, "i", clock=lambda: 0.0)
    client = ClientHistogram(
        "backpack_feed_handler_latency_seconds",
        "Receipt to delivered to every sink",
        ["instance_id", "variant", "channel"],
        buckets=BUCKETS,
        registry=theirs,
    ).labels("i", "native", "l2_book")
    observe = observer.callback("native", "l2_book")

    async def observe_all():
        for value in values:
            client.observe(value)
            await observe(book(None), -value)

    asyncio.run(observe_all())
    wanted = {s for s in samples(theirs) if not s[0].endswith("_created")}
    assert wanted <= samples(ours)


def samples(registry):
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items())), round(sample.value, 9))
        for family in families
        for sample in family.samples
    }


def test_observing_costs_no_more_than_a_few_searches_of_a_list():
    """It is on the path of every event, so it is held to the cost of what it must do at least."""
    histogram, counts, rounds = Histogram(), [0] * 17, 20_000

    def floor():
        for _ in range(rounds):
            counts[bisect.bisect_left(BUCKETS, 0.003)] += 1

    def ours():
        for _ in range(rounds):
            histogram.observe(0.003)

    # the minimum of several: other processes only ever add
    assert fastest(ours) < 6 * fastest(floor)


def fastest(work):
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
