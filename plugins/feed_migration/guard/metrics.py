"""The guard's own metrics, and through them those of the migration that it follows.

It stands beside the fleet and knows the journal, so it can say how far a migration is with Airflow
dead. Every series is made at scrape time from what the guard last saw.
"""

import math
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feed_migration.guard.gate_metrics import gate_families
from feed_migration.guard.migration_metrics import migration_families
from feed_migration.guard.sight import Health, Sight

PREFIX = "feed_migration_guard_"


class GuardCollector(Collector):
    """Asks the guard what it sees, at every scrape; `clock` gives unix seconds."""

    def __init__(self, see: Callable[[], Sight], clock: Callable[[], float]) -> None:
        self._see, self._clock = see, clock

    def describe(self) -> Iterable[Metric]:
        """Tell the registry nothing in advance: the guard may not have had a round yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family once."""
        sight = self._see()
        yield from guard_families(sight.health)
        yield from migration_families(sight, self._clock())
        yield from gate_families(sight)


def guard_registry(see: Callable[[], Sight], clock: Callable[[], float]) -> CollectorRegistry:
    """Return a registry with the guard's metrics and those of its process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(GuardCollector(see, clock))
    return registry


def guard_families(health: Health) -> Iterator[Metric]:
    """Yield how the guard is."""
    left = health.lease_left_seconds
    gauges = (
        (
            "last_poll_timestamp_seconds",
            "End of the guard's last round, or beginning of its rollback; unix time",
            health.polled_unix or None,
        ),
        (
            "journal_silent_seconds",
            "How long the journal has not answered, 0 while it does",
            health.journal_silent_seconds,
        ),
        (
            "exposed_instances",
            "Instances that may be on native, 0 once they are taken back",
            # before the first round a 0 would say that none is
            health.exposed if health.polled_unix else None,
        ),
        (
            "lease_left_seconds",
            "What is left of the exposure's lease; NaN where it needs none",
            math.nan if left is None else left,
        ),
        ("watching", "1 while the guard judges because nobody else does", health.watching),
        ("reverting", "1 while the guard takes the fleet back", health.reverting),
    )
    for name, text, value in gauges:
        yield GaugeMetricFamily(PREFIX + name, text, value=None if value is None else float(value))
    unproven = GaugeMetricFamily(
        PREFIX + "unproven_instance",
        "1 for a handler that is not proven on ccxt, or a shadow that is not proven stopped",
        labels=["instance_id"],
    )
    for instance in health.unproven:
        unproven.add_metric([instance], 1.0)
    yield unproven
    counters = (
        ("reverts", "Rollbacks that the guard has verified", health.reverts),
        ("failed_reverts", "Tries of a rollback that did not get there", health.failed_reverts),
    )
    for name, text, value in counters:
        yield CounterMetricFamily(PREFIX + name, text, value=value)
