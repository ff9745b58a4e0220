"""The values of a migration, all frozen: plan, steps, gates, criteria, measurements, verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, Self, get_args

from feed_migration.errors import UsageError
from feed_migration.numbers_json import number_from_json, number_to_json

type Labels = tuple[tuple[str, str], ...]
type Series = tuple[Labels, float]
type PhaseName = Literal[
    "preflight", "dry_run", "shadow", "cutover", "stabilisation", "post_migration"
]

PHASES: tuple[PhaseName, ...] = get_args(PhaseName.__value__)
# Ratios are cut here, so that one division by nearly nothing cannot outweigh an hour of pairs.
MAX_RATIO = 10.0


class Outcome(StrEnum):
    """What one criterion gave at one tick."""

    SUCCESS = "Success"
    FAILURE = "Failure"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    ERROR = "Error"


class Decision(StrEnum):
    """What a gate says: it runs until one of the three others ends it."""

    RUNNING = "Running"
    PROMOTE = "Promote"
    HOLD = "Hold"
    ROLLBACK = "Rollback"


class Severity(StrEnum):
    """How a confirmed Failure weighs: hard rolls back, soft has limits, info never decides."""

    HARD = "hard"
    SOFT = "soft"
    INFO = "info"


class Reducer(StrEnum):
    """How many series become one measurement."""

    ALL = "all"
    ANY = "any"
    MAX = "max"
    MIN = "min"
    SUM = "sum"
    AVG = "avg"


class UnknownStep(UsageError):  # noqa: N818 - reads as the fact it states
    """The plan has no step of that name; the message lists those it has."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """A range of values, ends included; `minimum` above `maximum` means all that lies outside."""

    minimum: float | None = None
    maximum: float | None = None

    def __contains__(self, value: float) -> bool:
        above = self.minimum is None or value >= self.minimum
        below = self.maximum is None or value <= self.maximum
        return (above or below) if self.inverted else (above and below)

    @property
    def inverted(self) -> bool:
        """Whether the band is everything outside of its two ends."""
        return self.minimum is not None and self.maximum is not None and self.minimum > self.maximum

    def __str__(self) -> str:
        low = "" if self.minimum is None else f">= {self.minimum:g}"
        high = "" if self.maximum is None else f"<= {self.maximum:g}"
        return (" or " if self.inverted else " and ").join(filter(None, (low, high)))


@dataclass(frozen=True, kw_only=True)
class FailureWindow:
    """More than `limit` Failures within any `window_seconds` breach it."""

    limit: int
    window_seconds: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The value is at most `max_increase` times the baseline's, by one of three tests.

    `window_seconds` is the longest range of the queries: ticks nearer than that are no independent
    samples. The exposure queries say in how many messages (or seconds) the events of a
    `rate_ratio` happened; they are None for the other methods.
    """

    max_increase: float
    min_samples: int
    method: Literal["paired_ratio", "rate_ratio", "rank"] = "paired_ratio"
    window_seconds: float = 0.0
    exposure_query: str | None = None
    baseline_exposure_query: str | None = None


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A service level: the share `target` of the ticks of `over_seconds` must be Success."""

    target: float
    over_seconds: float


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One question to Prometheus, what its answer means, and how much of the bad is too much.

    Limits mean "more than N"; None is no limit.
    """

    name: str
    query: str
    baseline_query: str | None = None
    success: Band | None = None
    failure: Band | None = None
    reducer: Reducer = Reducer.ALL
    expect_series: int | Literal["fleet"] | None = None
    max_age_seconds: float | None = None
    freshness_query: str | None = None
    severity: Severity = Severity.HARD
    confirm_interval_seconds: float = 5.0
    failure_limit: int | None = None
    consecutive_failure_limit: int | None = None
    failure_window: FailureWindow | None = None
    consecutive_error_limit: int | None = None
    comparison: Comparison | None = None
    objective: Objective | None = None

    @property
    def decides(self) -> bool:
        """Whether it can end or stop a gate; `info` never does."""
        return self.severity is not Severity.INFO

    @property
    def threshold(self) -> str:
        """The thresholds in words, for verdicts and reports."""
        parts = []
        if self.success is not None:
            parts.append(f"success {self.success}")
        if self.failure is not None:
            parts.append(f"failure {self.failure}")
        if self.comparison is not None:
            parts.append(f"at most {self.comparison.max_increase:g} times the baseline")
        if self.objective is not None:
            parts.append(f"{self.objective.target:.4%} good")
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """When criteria are asked and when their measurements are enough for a verdict."""

    interval_seconds: float
    min_duration_seconds: float
    max_duration_seconds: float
    criteria: tuple[Criterion, ...]
    evaluation_delay_seconds: float = 5.0
    on_timeout: Decision = Decision.HOLD
    min_coverage: float = 0.95
    blind_limit_seconds: float = 600.0
    on_blind: Decision = Decision.ROLLBACK
    lease_seconds: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Approver:
    """A person who may approve: `id` as Airflow's auth manager knows them, `name` for readers."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One station of the runbook; only cutover steps have a `percent` of the fleet.

    With `approval` a person is asked first: one of `approvers`, or whoever may act in Airflow
    where there are none; no answer within `approval_timeout_seconds` is a No.
    """

    name: str
    phase: PhaseName
    percent: int | None = None
    approval: bool = False
    approvers: tuple[Approver, ...] = ()
    approval_timeout_seconds: float = 86400.0
    gate: Gate | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A validated plan; `sha256` is over its meaning, not over its layout or comments."""

    name: str
    steps: tuple[Step, ...]
    sha256: str

    def step(self, name: str) -> Step:
        """The step of that name; raises UnknownStep."""
        for step in self.steps:
            if step.name == name:
                return step
        known = ", ".join(step.name for step in self.steps)
        raise UnknownStep(f"plan {self.name!r} has no step {name!r}", f"it has {known}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What Prometheus said to a criterion: `baseline` None is no baseline query, () an empty one.

    The exposures are what the counts of a `rate_ratio` happened in; None where nothing answered.

    `age_seconds` is how old the newest message behind the series is, by application time.
    """

    series: tuple[Series, ...] = ()
    baseline: tuple[Series, ...] | None = None
    age_seconds: float | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    baseline_error: str | None = None
    exposure: float | None = None
    baseline_exposure: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One criterion at one tick; `tick_seconds` counts from the gate's start.

    `counts_as` says what a NoData weighs: Failure where the baseline has data, Error elsewhere.
    `confirmed` is False where a second sample did not repeat the Failure or NoData.
    """

    criterion: str
    tick_seconds: float
    outcome: Outcome
    counts_as: Outcome
    value: float | None = None
    threshold: str = ""
    series: Labels = ()
    query: str = ""
    baseline_value: float | None = None
    confirmed: bool = True
    backfilled: bool = False
    detail: str = ""
    exposure: float | None = None
    baseline_exposure: float | None = None

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values (NaN and infinities as Prometheus's strings); `from_row` reads them."""
        return {
            "criterion": self.criterion,
            "tick_seconds": self.tick_seconds,
            "outcome": self.outcome.value,
            "counts_as": self.counts_as.value,
            "value": number_to_json(self.value),
            "threshold": self.threshold,
            "series": dict(self.series),
            "query": self.query,
            "baseline_value": number_to_json(self.baseline_value),
            "confirmed": self.confirmed,
            "backfilled": self.backfilled,
            "detail": self.detail,
            "exposure": number_to_json(self.exposure),
            "baseline_exposure": number_to_json(self.baseline_exposure),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The measurement that `to_row` wrote; raises KeyError or ValueError on anything else."""
        values = dict(row)
        values["outcome"] = Outcome(row["outcome"])
        values["counts_as"] = Outcome(row["counts_as"])
        values["series"] = tuple(sorted(dict(row["series"]).items()))
        values["value"] = number_from_json(row["value"])
        values["baseline_value"] = number_from_json(row["baseline_value"])
        # rows of older journals have none
        values["exposure"] = number_from_json(row.get("exposure"))
        values["baseline_exposure"] = number_from_json(row.get("baseline_exposure"))
        return cls(**values)

    def refuted(self, detail: str) -> Self:
        """The same, marked as not repeated by its confirm sample."""
        return replace(self, confirmed=False, detail=detail)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One criterion's part in a verdict."""

    criterion: str
    text: str
    value: float | None = None
    threshold: str = ""
    series: Labels = ()
    query: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the journal, the report and `gate replay`."""
        return {
            "criterion": self.criterion,
            "text": self.text,
            "value": number_to_json(self.value),
            "threshold": self.threshold,
            "series": dict(self.series),
            "query": self.query,
        }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A gate's decision at a time; `reasons` is empty while it is Running."""

    decision: Decision
    at_seconds: float
    reasons: tuple[Reason, ...] = field(default=())

    @property
    def final(self) -> bool:
        """Whether the gate is over."""
        return self.decision is not Decision.RUNNING

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; the journal's `verdict` events carry them."""
        return {
            "decision": self.decision.value,
            "at_seconds": self.at_seconds,
            "reasons": [reason.to_json() for reason in self.reasons],
        }
