"""The Prometheus side of metrics_snapshot()."""

from decimal import Decimal

from prometheus_client import generate_latest

from backpack_feed.counters import FeedCounters
from backpack_feed.incumbent.defects import KINDS
from backpack_feed.process.metrics import COUNTERS, FeedCollector, Reading, build_registry
from backpack_feed.process.parity import CCXT, NATIVE, Parity, SeenTrade
from backpack_feed.process.parity.values import KINDS as KINDS_OF_PARITY

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
    for kind in KINDS_OF_PARITY:
        for blamed in ("native", "ccxt", "venue", "nobody"):
            labels = f'blamed="{blamed}",instance_id="feed-00",kind="{kind}"'
            assert f"backpack_feed_parity_disagreements_total{{{labels}}} 0.0" in text
    for name in ("compared", "agreed"):
        for kind in ("trade", "book"):
            labels = f'instance_id="feed-00",kind="{kind}"'
            assert f"backpack_feed_parity_{name}_total{{{labels}}} 0.0" in text
    for name in ("unsettled", "renumberings", "books_skipped"):
        assert f'backpack_feed_parity_{name}_total{{instance_id="feed-00"}} 0.0' in text
    assert 'backpack_feed_parity_oldest_pending_seconds{instance_id="feed-00"} 0.0' in text
    assert "process_start_time_seconds" in text


def test_every_integer_of_the_snapshot_is_exported():
    """A key added to metrics_snapshot() is not forgotten here."""
    integers = {key for key, value in fresh().items() if type(value) is int}
    assert integers == set(COUNTERS)


def test_values_carry_their_labels():
    """Counts per channel and symbol, ages in seconds, flags as 0 or 1."""
    counters = FeedCounters(ws_errors=3)
    counters.message("trades", "A", 1.5)
    counters.trade("A")
    snapshot = counters.snapshot(
        symbol_snapshot_age={"A": 2.5}, private_authenticated=True, unix_ahead_seconds=1790900000.0
    )
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


def test_kinds_are_a_fixed_set_at_zero_from_the_start():
    """A kind that nobody foresaw counts as other and adds no series."""
    counters = FeedCounters(ccxt_defects=dict.fromkeys(KINDS, 0))
    counters.decode_error("json")
    counters.decode_error("depth.SOL_USDC said something")
    snapshot = counters.snapshot(symbol_snapshot_age={}, private_authenticated=False)
    text = exposition(snapshot)
    labels = 'instance_id="feed-00",kind="{}",variant="ccxt"'
    assert f"backpack_feed_decode_error_kinds_total{{{labels.format('json')}}} 1.0" in text
    assert f"backpack_feed_decode_error_kinds_total{{{labels.format('other')}}} 1.0" in text
    assert f"backpack_feed_decode_errors_total{LABELS} 2.0" in text
    for kind in KINDS:
        assert f"backpack_feed_ccxt_defects_total{{{labels.format(kind)}}} 0.0" in text


def test_parity_tells_both_latencies_over_the_same_trades():
    """From the venue's time of the trade, which ccxt does not know; lead above 0: native first."""
    parity = Parity()
    for trade_id in range(1, 101):
        for variant, at, stamp, latency in (
            (NATIVE, 0.25, 1000.0, 0.25),
            (CCXT, 1.0, 1000.5, 0.5),
        ):
            seen = SeenTrade("buy", Decimal(1), Decimal(1), at, stamp, latency)
            parity.trade(variant, "A", trade_id, seen)
    text = exposition(fresh(), parity=parity)
    for line in (
        'parity_latency_seconds{instance_id="feed-00",quantile="0.5",variant="native"} 0.25',
        'parity_latency_seconds{instance_id="feed-00",quantile="0.99",variant="ccxt"} 1.0',
        'parity_lead_seconds{instance_id="feed-00",quantile="0.9"} 0.75',
        'parity_agreed_total{instance_id="feed-00",kind="trade"} 100.0',
    ):
        assert f"backpack_feed_{line}" in text


def test_parity_tells_by_market_what_is_proven_and_what_is_not():
    """At zero from a market's first trade on: a disagreement takes its time to become one."""
    parity = Parity(settle_seconds=10)
    for variant, price in ((CCXT, 1), (NATIVE, 2)):
        parity.trade(variant, "A", 1, SeenTrade("buy", Decimal(price), Decimal(1)))
        parity.trade(variant, "B", 1, SeenTrade("buy", Decimal(1), Decimal(1)))
    text = exposition(fresh(), parity=parity)
    labels = '{{instance_id="feed-00",kind="{}",symbol="{}"}}'
    for symbol, proven in (("A", 0), ("B", 1)):
        for kind in ("trade", "book"):
            told, known = labels.format(kind, symbol), proven if kind == "trade" else 0
            assert f"backpack_feed_parity_proven_total{told} {known}.0" in text
            assert f"backpack_feed_parity_unproven_total{told} 0.0" in text
    parity.expire(11.0)
    text = exposition(fresh(), parity=parity)
    assert f"backpack_feed_parity_unproven_total{labels.format('trade', 'A')} 1.0" in text


def test_parity_tells_what_waits():
    """A trade that only one feed has delivered so far."""
    parity = Parity()
    for variant in (NATIVE, CCXT):
        parity.trade(variant, "A", 1, SeenTrade("buy", Decimal(1), Decimal(1)))
    parity.trade(NATIVE, "A", 2, SeenTrade("buy", Decimal(1), Decimal(1)))
    text = exposition(fresh(), parity=parity)
    assert 'backpack_feed_parity_pending{instance_id="feed-00",kind="trade"} 1.0' in text
    assert 'backpack_feed_parity_pending{instance_id="feed-00",kind="dispute"} 0.0' in text
