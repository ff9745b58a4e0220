"""One criterion over a gate's time: counts, streaks and windows, and the limits they breach. Pure.

A `Track` takes measurements in tick order. Limits mean "more than N".
"""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Self

from feed_migration.gates.comparing import Evidence, evidence_for
from feed_migration.model import (
    Criterion,
    Gate,
    Measurement,
    Objective,
    Outcome,
    Severity,
)

# An error budget spent this many times too fast over both windows pages; the Google SRE figure.
BURN_RATE = 14.4
BURN_WINDOWS_SECONDS = (300.0, 3600.0)


def slot_of(gate: Gate, seconds: float) -> int:
    """The number of the tick that is due at or before `seconds`; the first one is 0."""
    # the margin absorbs 0.3 / 0.1 == 2.9999…
    return int(seconds / gate.interval_seconds + 1e-6)


@dataclass
class Track:
    """What the judge remembers of one criterion."""

    criterion: Criterion
    gate: Gate
    latest: Measurement | None = None
    good: int = 0
    failures: int = 0
    consecutive_failures: int = 0
    consecutive_errors: int = 0
    blind_since_seconds: float | None = None
    last_conclusive_slot: int = -1
    conclusive_slots: int = 0
    failure_ticks: deque[float] = field(default_factory=deque)
    budget_ticks: deque[float] = field(default_factory=deque)
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        if self.evidence is None and self.criterion.comparison is not None:
            self.evidence = evidence_for(self.criterion.comparison, self.gate.interval_seconds)

    def add(self, measurement: Measurement) -> None:
        """Take the measurement of the next tick."""
        self.latest = measurement
        if measurement.counts_as is Outcome.ERROR:
            self._add_error(measurement)
            return
        self.consecutive_errors, self.blind_since_seconds = 0, None
        if measurement.counts_as is Outcome.FAILURE:
            self._add_failure(measurement)
        else:
            self.consecutive_failures = 0
        self.good += measurement.outcome is Outcome.SUCCESS
        self._cover(measurement)
        if self.evidence is not None:
            self.evidence.add(measurement)

    def _add_error(self, measurement: Measurement) -> None:
        if not measurement.confirmed:
            # the second sample answered: a blip, not blindness
            self.consecutive_errors, self.blind_since_seconds = 0, None
            return
        self.consecutive_errors += 1
        if self.blind_since_seconds is None:
            self.blind_since_seconds = measurement.tick_seconds

    def _add_failure(self, measurement: Measurement) -> None:
        self.failures += 1
        self.consecutive_failures = self.consecutive_failures + 1 if measurement.confirmed else 0
        if self.criterion.failure_window is not None:
            self.failure_ticks.append(measurement.tick_seconds)
            _forget(
                self.failure_ticks,
                measurement.tick_seconds - self.criterion.failure_window.window_seconds,
            )
        if self.criterion.objective is not None:
            self.budget_ticks.append(measurement.tick_seconds)
            kept_seconds = max(self.criterion.objective.over_seconds, *BURN_WINDOWS_SECONDS)
            _forget(self.budget_ticks, measurement.tick_seconds - kept_seconds)

    def _cover(self, measurement: Measurement) -> None:
        slot = slot_of(self.gate, measurement.tick_seconds)
        conclusive = measurement.outcome in {Outcome.SUCCESS, Outcome.FAILURE}
        if conclusive and slot > self.last_conclusive_slot:
            self.last_conclusive_slot = slot
            self.conclusive_slots += 1

    def fork(self) -> Self:
        """An independent copy, for a look ahead."""
        return replace(
            self,
            failure_ticks=self.failure_ticks.copy(),
            budget_ticks=self.budget_ticks.copy(),
            evidence=None if self.evidence is None else self.evidence.fork(),
        )

    def coverage(self, expected_ticks: int) -> float:
        """Share of the expected ticks that were Success or Failure."""
        return self.conclusive_slots / expected_ticks if expected_ticks else 0.0

    def breach(self) -> str:
        """Which limit the newest measurement has broken, or nothing. Failure beats error."""
        criterion, latest = self.criterion, self.latest
        if latest is None or not criterion.decides:
            return ""
        hard = criterion.severity is Severity.HARD and latest.counts_as is Outcome.FAILURE
        if hard and latest.confirmed:
            return "confirmed failure"
        return self._limit_breach() or self._statistical_breach()

    def _limit_breach(self) -> str:
        limits = self.criterion
        if _more(self.failures, limits.failure_limit):
            return f"{self.failures} failures, limit {limits.failure_limit}"
        if _more(self.consecutive_failures, limits.consecutive_failure_limit):
            return (
                f"{self.consecutive_failures} consecutive failures,"
                f" limit {limits.consecutive_failure_limit}"
            )
        window = limits.failure_window
        if window is not None and len(self.failure_ticks) > window.limit:
            return (
                f"{len(self.failure_ticks)} failures within {window.window_seconds:g} s,"
                f" limit {window.limit}"
            )
        return ""

    def _statistical_breach(self) -> str:
        comparison, objective = self.criterion.comparison, self.criterion.objective
        if (
            comparison is not None
            and self.evidence is not None
            and self.evidence.samples >= comparison.min_samples
            and (worse := self.evidence.worse())
        ):
            return worse
        return "" if objective is None else self._objective_breach(objective)

    def _objective_breach(self, objective: Objective) -> str:
        if not self.budget_ticks:
            return ""
        allowed = 1 - objective.target
        spent = self._failures_within(objective.over_seconds)
        budget = allowed * objective.over_seconds / self.gate.interval_seconds
        if spent > budget + 1e-9:
            return f"error budget spent: {spent} failures, budget {budget:.4g}"
        # Over the nominal window: two failures in the first minute are no hour at 14.4x.
        burning = all(
            self._failures_within(window) * self.gate.interval_seconds / window
            > BURN_RATE * allowed
            for window in BURN_WINDOWS_SECONDS
        )
        return f"error budget burns at more than {BURN_RATE}x over 5 min and 1 h" * burning

    def _failures_within(self, window_seconds: float) -> int:
        since = self.budget_ticks[-1] - window_seconds
        return sum(tick > since for tick in self.budget_ticks)

    def blindness(self, now_seconds: float) -> str:
        """Why the criterion counts as blind, or nothing."""
        if self.blind_since_seconds is None or not self.criterion.decides:
            return ""
        blind_seconds = now_seconds - self.blind_since_seconds
        if blind_seconds > self.gate.blind_limit_seconds:
            return f"blind for {blind_seconds:g} s, limit {self.gate.blind_limit_seconds:g} s"
        limit = self.criterion.consecutive_error_limit
        if _more(self.consecutive_errors, limit):
            return f"blind: {self.consecutive_errors} consecutive errors, limit {limit}"
        return ""

    def doubt(self, expected_ticks: int) -> str:
        """What still stands between this criterion and a Promote, or nothing."""
        latest = self.latest
        if latest is None:
            return "never measured"
        if slot_of(self.gate, latest.tick_seconds) < expected_ticks - 1:
            return f"not measured since {latest.tick_seconds:g} s"
        if latest.outcome is not Outcome.SUCCESS:
            return f"latest measurement is {latest.outcome}"
        covered = self.coverage(expected_ticks)
        if covered < self.gate.min_coverage - 1e-9:
            return f"coverage {covered:.2%}, at least {self.gate.min_coverage:.2%} is needed"
        return self._statistical_doubt()

    def _statistical_doubt(self) -> str:
        comparison, objective = self.criterion.comparison, self.criterion.objective
        if comparison is not None and self.evidence is not None:
            samples = self.evidence.samples
            if samples < comparison.min_samples:
                return f"{samples} pairs, at least {comparison.min_samples} are needed"
            if unproven := self.evidence.unproven():
                return unproven
        if objective is not None:
            share = self.good / (self.good + self.failures)
            if share < objective.target:
                return f"{share:.4%} good, objective {objective.target:.4%}"
        return ""


def _more(count: int, limit: int | None) -> bool:
    return limit is not None and count > limit


def _forget(ticks: deque[float], before: float) -> None:
    while ticks and ticks[0] < before:
        ticks.popleft()
