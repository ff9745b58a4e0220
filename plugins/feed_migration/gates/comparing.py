"""A criterion against its baseline over a gate's time: three methods, one memory each. Pure.

Ticks that are nearer to each other than the range of their queries share samples of Prometheus;
`overlap` is how many ticks stand for one independent observation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil, exp, floor, isfinite, log, sqrt
from typing import Protocol, Self

from feed_migration.gates.significance import rank_p, rate_p, t_quantile, tail_p
from feed_migration.model import MAX_RATIO, Comparison, Measurement

# One-sided error of a single look at the pairs; max_increase is a margin on top of it.
PAIRED_ALPHA = 2e-4
# The exact tests have no margin where max_increase is 1 and are looked at a hundred times or more.
EXACT_ALPHA = 1e-5
# What is worse at this level is not proven bad, and not proven good either.
DOUBT_ALPHA = 0.05
# More than that in one window is a broken counter and no count; in less than the other bound of an
# exposure one event would outweigh every other window.
MAX_COUNT = 1e15
MIN_EXPOSURE = 1e-6
# Bounds the cost of a look; a day of one-minute windows is 1440.
RANK_SAMPLES = 2000
LOOK_GROWTH = 1.1


class Evidence(Protocol):
    """What the pairs of one criterion say so far."""

    samples: int

    def add(self, measurement: Measurement) -> None:
        """Take the measurement of the next tick, if both sides have a value."""

    def fork(self) -> Self:
        """An independent copy."""

    def worse(self) -> str:
        """Why the value is surely worse than the comparison allows, or nothing."""

    def unproven(self) -> str:
        """Why it is not shown to be as good, or nothing; asked from `min_samples` on."""


def evidence_for(comparison: Comparison, interval_seconds: float) -> Evidence:
    """An empty memory for a comparison whose criterion is asked every `interval_seconds`."""
    overlap = max(1.0, comparison.window_seconds / interval_seconds)
    methods: dict[str, Callable[[], Evidence]] = {
        "paired_ratio": lambda: PairedRatio(comparison.max_increase, overlap),
        "rate_ratio": lambda: RateRatio(comparison.max_increase, overlap),
        "rank": lambda: Ranks(comparison.max_increase, overlap),
    }
    return methods[comparison.method]()


def incomparable(comparison: Comparison, measured: Measurement) -> str:
    """Why the two sides cannot be held against each other at this tick, or nothing."""
    pair = _pair(measured)
    if pair is None:
        return "no baseline to compare"
    if min(pair) < 0:
        return f"{pair[0]:g} beside {pair[1]:g}: nothing is a multiple of less than nothing"
    if comparison.method == "rate_ratio" and _rates(measured) is None:
        return f"nothing happened in which an event could have, or a count above {MAX_COUNT:g}"
    return ""


def _pair(measured: Measurement) -> tuple[float, float] | None:
    value, baseline = measured.value, measured.baseline_value
    if value is None or baseline is None or not (isfinite(value) and isfinite(baseline)):
        return None
    return value, baseline


@dataclass
class PairedRatio:
    """Running mean and variance of the log ratio of value to baseline."""

    max_increase: float
    overlap: float = 1.0
    samples: int = 0
    total: float = 0.0
    total_squared: float = 0.0

    def add(self, measurement: Measurement) -> None:
        """Take one pair; a pair of two zeros is equal, a zero baseline alone is `MAX_RATIO`."""
        pair = _pair(measurement)
        if pair is None or min(pair) < 0:
            return
        value, baseline = pair
        if baseline == 0:
            ratio = MAX_RATIO if value > 0 else 1.0
        else:
            ratio = min(max(value / baseline, 1 / MAX_RATIO), MAX_RATIO)
        self.samples += 1
        self.total += log(ratio)
        self.total_squared += log(ratio) ** 2

    def fork(self) -> Self:
        """An independent copy."""
        return replace(self)

    @property
    def mean(self) -> float:
        """Geometric mean ratio; 1.0 without samples."""
        return exp(self.total / self.samples) if self.samples else 1.0

    @property
    def at_least(self) -> float:
        """The ratio that the true one exceeds almost surely; 0.0 below two observations."""
        independent = self.samples / self.overlap
        if independent < 2:  # noqa: PLR2004 - no spread without two
            return 0.0
        mean = self.total / self.samples
        variance = max(self.total_squared / self.samples - mean**2, 0.0)
        spread = sqrt(variance / (independent - 1))
        return exp(mean - t_quantile(independent - 1, 1 - PAIRED_ALPHA) * spread)

    def worse(self) -> str:
        """The mean ratio is above the limit, less its error."""
        # the mean is cheap and nearly always enough
        if self.mean <= self.max_increase or (surely := self.at_least) <= self.max_increase:
            return ""
        return (
            f"surely {surely:.3g} times the baseline after {self.samples} pairs,"
            f" limit {self.max_increase:g}"
        )

    def unproven(self) -> str:
        """The mean ratio itself is above the limit."""
        if self.mean <= self.max_increase:
            return ""
        return f"{self.mean:.3g} times the baseline, limit {self.max_increase:g}"


@dataclass
class Side:
    """Events of one side: their sum, what they happened in, and how unevenly they fell."""

    samples: int = 0
    events: float = 0.0
    exposure: float = 0.0
    squares: float = 0.0

    def add(self, events: float, exposure: float) -> None:
        """Take the events of one window."""
        self.samples += 1
        self.events += events
        self.exposure += exposure
        self.squares += events**2 / exposure

    @property
    def dispersion(self) -> float:
        """Pearson's chi² per degree of freedom: 1 for Poisson, n where they fall n at a time."""
        if self.events == 0 or self.samples <= 1:
            return 1.0
        chi_squared = self.squares * self.exposure / self.events - self.events
        return chi_squared / (self.samples - 1)


@dataclass
class RateRatio:
    """Events per exposure, say errors per message, by the exact test of two Poisson rates.

    Events that come in bursts are counted as so many fewer independent ones (quasi-Poisson).
    """

    max_increase: float
    overlap: float = 1.0
    samples: int = 0
    native: Side = field(default_factory=Side)
    baseline: Side = field(default_factory=Side)

    def add(self, measurement: Measurement) -> None:
        """Take the events and exposures of one window of both sides."""
        if (rates := _rates(measurement)) is None:
            return
        self.samples += 1
        self.native.add(*rates[0])
        self.baseline.add(*rates[1])

    def fork(self) -> Self:
        """An independent copy."""
        return replace(self, native=replace(self.native), baseline=replace(self.baseline))

    @property
    def p_value(self) -> float:
        """P of these events, if the rate were as the limit allows."""
        native, baseline = self.native, self.baseline
        if self.samples == 0:
            return 1.0
        burst = max(1.0, native.dispersion, baseline.dispersion) * self.overlap
        # rounded in favour of the native side: what is not a whole event is none
        events, others = floor(native.events / burst), ceil(baseline.events / burst)
        return rate_p(events, native.exposure, others, baseline.exposure, self.max_increase)

    def worse(self) -> str:
        """So many events would hardly ever happen at the rate that is allowed."""
        return self._text(EXACT_ALPHA)

    def unproven(self) -> str:
        """So many events are unlikely at the rate that is allowed."""
        return self._text(DOUBT_ALPHA)

    def _text(self, alpha: float) -> str:
        if (p_value := self.p_value) >= alpha:
            return ""
        native, baseline = self.native, self.baseline
        return (
            f"{native.events:.0f} in {native.exposure:.0f} beside {baseline.events:.0f} in"
            f" {baseline.exposure:.0f} of the baseline, p = {p_value:.2g} for at most"
            f" {self.max_increase:g} times the rate"
        )


@dataclass
class Ranks:
    """Values against the baseline's times the limit: by rank, and by the tail alone."""

    max_increase: float
    overlap: float = 1.0
    samples: int = 0
    values: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    p_value: float = 1.0

    def add(self, measurement: Measurement) -> None:
        """Take one pair of values out of as many as overlap."""
        pair = _pair(measurement)
        if pair is None or min(pair) < 0:
            return
        value, baseline = pair
        self.samples += 1
        if (self.samples - 1) % ceil(self.overlap):
            return
        self.values = [*self.values, value][-RANK_SAMPLES:]
        self.baseline = [*self.baseline, baseline * self.max_increase][-RANK_SAMPLES:]
        if _is_look(ceil(self.samples / ceil(self.overlap))):
            ranks, tail = rank_p(self.values, self.baseline), tail_p(self.values, self.baseline)
            # two tests, so each counts double
            self.p_value = min(1.0, 2 * min(ranks, tail))

    def fork(self) -> Self:
        """An independent copy; the lists are never changed in place."""
        return replace(self)

    def worse(self) -> str:
        """They lie so much higher as hardly ever by chance."""
        return self._text(EXACT_ALPHA)

    def unproven(self) -> str:
        """They lie higher than is likely."""
        return self._text(DOUBT_ALPHA)

    def _text(self, alpha: float) -> str:
        if self.p_value >= alpha:
            return ""
        return (
            f"above {self.max_increase:g} times the baseline by rank or in the tail,"
            f" p = {self.p_value:.2g} of {len(self.values)} values"
        )


def _is_look(count: int) -> bool:
    """Whether the tests are run at this many values: each time there are a tenth more.

    Few looks are few chances for noise, and a day costs no more than some sixty of them.
    """
    return count == 1 or floor(log(count, LOOK_GROWTH)) > floor(log(count - 1, LOOK_GROWTH))


type _Rate = tuple[float, float]


def _rates(measured: Measurement) -> tuple[_Rate, _Rate] | None:
    """Events and exposure of native and of the baseline, if all four can be used."""
    one = _rate(measured.value, measured.exposure)
    other = _rate(measured.baseline_value, measured.baseline_exposure)
    return None if one is None or other is None else (one, other)


def _rate(events: float | None, exposure: float | None) -> _Rate | None:
    # no comparison with NaN is true
    if events is None or exposure is None or not 0 <= events <= MAX_COUNT:
        return None
    return (events, exposure) if MIN_EXPOSURE <= exposure <= MAX_COUNT else None
