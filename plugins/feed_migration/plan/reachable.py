"""What a criterion asks for and can never get: more series, or more ticks, than there will be."""

from collections.abc import Iterator
from typing import Literal

from feed_migration.model import Criterion
from feed_migration.prometheus.telling_apart import labels_apart

# By these labels of a feed no instance is told from another.
_OF_MANY_INSTANCES = frozenset(
    {
        "blamed",
        "channel",
        "event",
        "kind",
        "le",
        "quantile",
        "reason",
        "role",
        "symbol",
        "variant",
    }
)


def check_series(expected: int | Literal["fleet"] | None, query: str) -> None:
    """Raise ValueError where the answer to `query` can never have as many series as expected."""
    labels = None if expected in {None, 1} else labels_apart(query)
    if labels is None:
        return
    if expected == "fleet" and labels <= _OF_MANY_INSTANCES:
        raise ValueError(
            "expect_series: fleet, and nothing in the answer tells instances apart;"
            " aggregate the query `by (instance_id)`, or leave expect_series out"
        )
    if not labels:
        raise ValueError(
            f"expect_series: {expected}, and the query gives one series at most;"
            " aggregate it `by` a label, or leave expect_series out"
        )


def unreachable(
    criterion: Criterion, interval_seconds: float, longest_seconds: float
) -> Iterator[str]:
    """What takes more ticks than there are in the gate or in the window, each with the remedy."""
    if not criterion.decides:
        return
    comparison, window = criterion.comparison, criterion.failure_window
    ticks = _ticks(longest_seconds, interval_seconds)
    if comparison is not None and comparison.min_samples > ticks:
        yield (
            f"comparison.min_samples is {comparison.min_samples}, and max_duration has {ticks}"
            " ticks: it can never promote; lower it, or raise max_duration"
        )
    if window is None:
        return
    ticks = _ticks(window.window_seconds, interval_seconds)
    if window.limit >= ticks:
        yield (
            f"failure_window.limit is {window.limit}, and its window has {ticks} ticks:"
            " it can never be exceeded; lower it, or widen the window"
        )


def _ticks(seconds: float, interval_seconds: float) -> int:
    """How many ticks there are at most within so long, the first and the last included."""
    # the margin absorbs 0.3 / 0.1 == 2.9999…
    return int(seconds / interval_seconds + 1e-6) + 1
