"""Parity as Prometheus families. Every `_total` exists at zero from the first scrape."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from backpack_feed.process.parity.comparison import Parity
from backpack_feed.process.parity.values import COMPARED, VARIANTS

PREFIX: Final = "backpack_feed_parity_"


def parity_families(instance_id: str, parity: Parity, now: float) -> Iterator[Metric]:
    """Yield every family of one shard; `now` is monotonic seconds."""
    yield from _counters(instance_id, parity)
    yield from _proofs(instance_id, parity)
    yield from _gauges(instance_id, parity, now)
    yield from _latencies(instance_id, parity)


def _counters(instance_id: str, parity: Parity) -> Iterator[Metric]:
    texts = {
        "compared": (
            "Trades by id and books by sequence number that were compared",
            parity.compared,
        ),
        "agreed": ("Of these, the ones that both feeds published alike", parity.agreed),
    }
    for name, (text, counts) in texts.items():
        family = CounterMetricFamily(PREFIX + name, text, labels=["instance_id", "kind"])
        for kind in COMPARED:
            family.add_metric([instance_id, kind], counts[kind])
        yield family
    family = CounterMetricFamily(
        PREFIX + "disagreements",
        "Disagreements that were settled, or could not be, by what was wrong and who is to blame",
        labels=["instance_id", "kind", "blamed"],
    )
    for (kind, blamed), count in parity.disagreements.items():
        family.add_metric([instance_id, kind, blamed], count)
    yield family
    text = "Disagreements that nobody is blamed for: the venue gave no answer that settles them"
    family = CounterMetricFamily(PREFIX + "unsettled", text, labels=["instance_id"])
    family.add_metric([instance_id], parity.unsettled_count)
    yield family
    text = "Books of ccxt at a sequence number that native did not publish"
    family = CounterMetricFamily(PREFIX + "books_skipped", text, labels=["instance_id"])
    family.add_metric([instance_id], parity.books.skipped)
    yield family
    text = "Times that a market's trade ids began anew, so that nothing before could be settled"
    family = CounterMetricFamily(PREFIX + "renumberings", text, labels=["instance_id"])
    family.add_metric([instance_id], parity.trades.renumberings)
    yield family


def _proofs(instance_id: str, parity: Parity) -> Iterator[Metric]:
    """By symbol: one busy market must not hide that nothing is proven in a quiet one."""
    texts = {
        "proven": ("Trades and books of which it is known which feed was right", parity.proven),
        "unproven": (
            "Trades and books on which the feeds differ and nobody knows who was right",
            parity.unproven,
        ),
    }
    for name, (text, counts) in texts.items():
        labels = ["instance_id", "symbol", "kind"]
        family = CounterMetricFamily(PREFIX + name, text, labels=labels)
        for symbol in parity.symbols:
            for kind in COMPARED:
                family.add_metric([instance_id, symbol, kind], counts[symbol, kind])
        yield family


def _gauges(instance_id: str, parity: Parity, now: float) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        PREFIX + "pending",
        "What waits: trades and books for the other feed, disputes for the venue",
        labels=["instance_id", "kind"],
    )
    for kind, count in parity.pending.items():
        family.add_metric([instance_id, kind], count)
    yield family
    plain = {
        "oldest_pending_seconds": (
            "Age of the oldest trade or dispute that waits, 0 when none does",
            parity.oldest_pending_seconds(now),
        ),
        "samples": ("Samples of disagreements that are kept", len(parity.samples)),
    }
    for name, (text, value) in plain.items():
        family = GaugeMetricFamily(PREFIX + name, text, labels=["instance_id"])
        family.add_metric([instance_id], value)
        yield family


def _latencies(instance_id: str, parity: Parity) -> Iterator[Metric]:
    quantiles = parity.latency.quantiles()
    family = GaugeMetricFamily(
        PREFIX + "latency_seconds",
        "Venue's time of a trade to its delivery, over the newest trades that both feeds delivered",
        labels=["instance_id", "variant", "quantile"],
    )
    for variant in VARIANTS:
        for quantile, seconds in quantiles[variant].items():
            family.add_metric([instance_id, variant, str(quantile)], seconds)
    yield family
    family = GaugeMetricFamily(
        PREFIX + "lead_seconds",
        "How much earlier native delivered the same trade, below 0 when ccxt was earlier",
        labels=["instance_id", "quantile"],
    )
    for quantile, seconds in quantiles["lead"].items():
        family.add_metric([instance_id, str(quantile)], seconds)
    yield family
