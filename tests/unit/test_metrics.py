"""The Prometheus side of metrics_snapshot()."""

from decimal import Decimal

from cryptofeed.types import OrderBook, Trade
from prometheus_client import generate_latest

from backpack_feed.counters import FeedCounters
from backpack_feed.process.metrics import (
    COUNTERS,
    FeedCollector,
    LatencyObserver,
    Reading,
    build_registry,
)
from backpack_feed.process.parity import Parity

SYMBOL_LABELS = '{instance_id="feed-00",symbol="A",variant="ccxt"}'
LABELS = '{instance_id="feed-00",variant="ccxt"}'


def exposition(snapshot, *, ready=True, healthy=True, parity=None):
    registry = build_registry()
    reading = Reading("ccxt", snapshot, ready=ready, healthy=healthy)
    registry.register(FeedCollector("feed-00", lambda: [reading], parity=parity))
    return generate_latest(registry).decode()


def fresh():
    return FeedCounters().snapshot(symbol_snapshot_age={"A": 2.5}, private_authenticated=False)


def test_every_counter_exists_at_zero_from_the_start():
    """A rate must never be missing because nothing has gone wrong yet."""
    text = exposition(fresh(), parity=Parity())
    for key in COUNTERS:
        assert f"backpack_feed_{key}_total{LABELS} 0.0" in text
    assert 'parity_missing_total{instance_id="feed-00",variant="native"} 0.0' in text
    assert 'parity_matched_total{instance_id="feed-00"} 0.0' in text
    assert "process_start_time_seconds" in text


def test_every_integer_of_the_snapshot_is_exported():
    """A key added to metrics_snapshot() is not forgotten here."""
    integers = {key for key, value in fresh().items() if type(value) is int}
    assert integers == set(COUNTERS)


def test_values_carry_their_labels():
    """Counts per channel and symbol, ages in seconds, flags as 0 or 1."""
    counters = FeedCounters(ws_errors=3)
    counters.message("trades", "A", 1790900001.5)
    counters.trade("A")
    snapshot = counters.snapshot(symbol_snapshot_age={"A": 2.5}, private_authenticated=True)
    text = exposition(snapshot, ready=False)
    for line in (
        f"backpack_feed_ws_errors_total{LABELS} 3.0",
        'backpack_feed_messages_total{channel="trades",instance_id="feed-00",variant="ccxt"} 1.0',
        'backpack_feed_trades_total{instance_id="feed-00",symbol="A",variant="ccxt"} 1.0',
        f"backpack_feed_symbol_snapshot_age_seconds{SYMBOL_LABELS} 2.5",
        f"backpack_feed_last_message_timestamp_seconds{SYMBOL_LABELS} 1.7909000015e+09",
        f"backpack_feed_ready{LABELS} 0.0",
        f"backpack_feed_healthy{LABELS} 1.0",
        f"backpack_feed_private_authenticated{LABELS} 1.0",
    ):
        assert line in text


async def test_latency_is_measured_from_venue_to_receipt_to_delivery():
    """Books count for the wire, everything counts for the handler; a clock step is never negative."""
    registry = build_registry()
    observer = LatencyObserver(registry, "feed-00", clock=lambda: 100.5)
    book = OrderBook("BACKPACK", "A", bids={}, asks={})
    book.timestamp = 100.0
    await observer.callback("native", "l2_book")(book, 100.25)
    old_trade = Trade("BACKPACK", "A", "buy", Decimal(1), Decimal(1), 5.0, id="1")
    await observer.callback("native", "trades")(old_trade, 101.0)

    def value(name, channel):
        labels = {"instance_id": "feed-00", "variant": "native", "channel": channel}
        return registry.get_sample_value(f"backpack_feed_{name}", labels)

    assert value("exchange_latency_seconds_sum", "l2_book") == 0.25
    assert value("exchange_latency_seconds_count", "trades") is None
    assert value("handler_latency_seconds_sum", "l2_book") == 0.25
    assert value("handler_latency_seconds_sum", "trades") == 0.0
