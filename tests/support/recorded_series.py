"""Series as a fleet's exporters would have left them in Prometheus, written as blocks of its store.

`promtool` makes the blocks, so that a query over minutes needs no minutes of scraping.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backpack_feed.process.metrics import COUNTERS, PREFIX

BUCKETS = ("0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "+Inf")
FAST = 0.05
PARITY_LABELS = {
    "parity_compared_total": ['kind="trade"', 'kind="book"'],
    "parity_disagreements_total": [
        f'kind="{kind}",blamed="{blamed}"'
        for kind in ("missing", "altered", "book")
        for blamed in ("native", "venue")
    ],
    "parity_renumberings_total": [""],
    **{
        f"parity_{name}_total": [
            f'symbol="{symbol}-USDC",kind="{kind}"'
            for symbol in ("BUSY", "QUIET")
            for kind in ("trade", "book")
        ]
        for name in ("proven", "unproven")
    },
}


@dataclass(frozen=True)
class RecordedFleet:
    """Which processes there are, and from when to when they were scraped, unix seconds."""

    first_unix: float
    last_unix: float
    instances: int = 2
    ccxt_instances: int = 1
    shadows: int = 1
    symbols: int = 2
    step_seconds: float = 5.0
    # each process is scraped so much later than the one before
    stagger_seconds: float = 0.0
    # nothing was scraped from the first to the second of these times
    outage: tuple[float, float] = (0.0, 0.0)
    without: frozenset[str] = frozenset()
    # value of a metric at a time, by metric or metric/variant; others are as of a healthy feed
    changes: Mapping[str, Callable[[float], float]] = field(default_factory=dict)

    def times(self) -> list[float]:
        """When they were scraped."""
        count = int((self.last_unix - self.first_unix) / self.step_seconds)
        return [self.first_unix + index * self.step_seconds for index in range(count + 1)]

    def text(self) -> Iterator[str]:
        """OpenMetrics, one family after the other."""
        for name, kind in _families():
            if name.removeprefix(PREFIX) in self.without:
                continue
            yield f"# TYPE {name.removesuffix('_total') if kind == 'counter' else name} {kind}\n"
            yield from self._family(name)
        yield "# EOF\n"

    def _family(self, name: str) -> Iterator[str]:
        for index, (role, instance_id, variant) in enumerate(self._feeds()):
            shift = index * self.stagger_seconds % self.step_seconds
            process = f'role="{role}",instance="{instance_id}:9600"'
            feed = f'{process},instance_id="{instance_id}",variant="{variant}"'
            if name in {"up", "process_start_time_seconds"}:
                labels = [process]
            elif name.startswith(PREFIX + "parity"):
                inner = PARITY_LABELS.get(name.removeprefix(PREFIX), [""])
                labels = [f"{feed},{more}" if more else feed for more in inner]
                labels = labels if role == "shadow" else []
            else:
                labels = [f"{feed},{more}" if more else feed for more in self._inner(name)]
            for one in labels:
                yield from self._samples(name, variant, one, shift)

    def _feeds(self) -> Iterator[tuple[str, str, str]]:
        for index in range(self.instances):
            yield "handler", f"feed-{index:03}", "native"
        for index in range(self.ccxt_instances):
            yield "handler", f"old-{index:03}", "ccxt"
        for index in range(self.shadows):
            yield "shadow", f"shadow-{index:03}", "native"

    def _inner(self, name: str) -> list[str]:
        if name.removeprefix(PREFIX) in {
            "symbol_snapshot_age_seconds",
            "last_message_timestamp_seconds",
            "trades_total",
        }:
            return [f'symbol="S{index:03}-USDC"' for index in range(self.symbols)]
        if name == PREFIX + "messages_total":
            return ['channel="l2_book"']
        return [""]

    def _samples(self, name: str, variant: str, labels: str, shift: float) -> Iterator[str]:
        key = name.removeprefix(PREFIX)
        change = self.changes.get(f"{key}/{variant}", self.changes.get(key))
        if "QUIET" in labels:
            change = self.changes.get(f"{key}/QUIET", change)
        for at in (time + shift for time in self.times()):
            if self.outage[0] <= at < self.outage[1]:
                continue
            healthy = _healthy(key, at, at - self.first_unix)
            value = healthy if change is None else change(at)
            if not key.endswith("latency_seconds"):
                yield f"{name}{{{labels}}} {value} {at}\n"
                continue
            count = int((at - self.first_unix) * 10)
            for bound in BUCKETS:
                within = count if bound == "+Inf" or float(bound) >= value else 0
                yield f'{name}_bucket{{{labels},le="{bound}"}} {within} {at}\n'


def write_blocks(fleet: RecordedFleet, directory: Path) -> None:
    """Put the fleet's series into the store of a Prometheus that is not running yet."""
    path = directory / "recorded.txt"
    with path.open("w") as file:
        file.writelines(fleet.text())
    subprocess.run(
        [
            "promtool",
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            str(path),
            str(directory / "data"),
        ],
        check=True,
        capture_output=True,
    )
    path.unlink()


def _families() -> Iterator[tuple[str, str]]:
    counters = [*COUNTERS, "messages", "trades"]
    counters += ["parity_compared", "parity_disagreements", "parity_renumberings"]
    counters += ["parity_proven", "parity_unproven"]
    for name in counters:
        yield f"{PREFIX}{name}_total", "counter"
    for name in ("exchange_latency_seconds", "handler_latency_seconds"):
        yield PREFIX + name, "histogram"
    for name in (
        "symbol_snapshot_age_seconds",
        "last_message_timestamp_seconds",
        "healthy",
        "private_authenticated",
        "parity_oldest_pending_seconds",
    ):
        yield PREFIX + name, "gauge"
    yield from (("up", "gauge"), ("process_start_time_seconds", "gauge"))


def _healthy(key: str, at: float, seconds: float) -> float:
    values = {
        "messages_total": seconds * 100,
        "trades_total": seconds * 5,
        "parity_compared_total": seconds * 5,
        "parity_proven_total": seconds * 5,
        "symbol_snapshot_age_seconds": 0.4,
        "last_message_timestamp_seconds": at - 0.3,
        "healthy": 1,
        "private_authenticated": 1,
        "up": 1,
        "process_start_time_seconds": 1_000_000,
        "exchange_latency_seconds": FAST,
        "handler_latency_seconds": 0.005,
    }
    return values.get(key, 0)
