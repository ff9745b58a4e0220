"""The keys of a plan: pydantic models, one per mapping, that refuse what they do not know."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from sys import float_info
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field, PlainValidator, field_validator, model_validator

from feed_migration.model import (
    MAX_RATIO,
    Approver,
    Band,
    Comparison,
    Criterion,
    Decision,
    FailureWindow,
    Gate,
    Objective,
    Reducer,
    Severity,
)
from feed_migration.plan.reachable import check_series, unreachable
from feed_migration.plan.types import (
    Count,
    Duration,
    Name,
    Number,
    PositiveDuration,
    Query,
    Spec,
    approvers_of,
    series_count,
)
from feed_migration.prometheus.promql import range_seconds

_DEFAULT_MAX_DURATION_SECONDS = 6 * 3600.0
_APPROVAL_TIMEOUT_SECONDS = 24 * 3600.0


class BandSpec(Spec):
    """`{min, max}`, either or both."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _some_end(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max or both")
        return self

    def value(self) -> Band:
        """The value it stands for."""
        return Band(minimum=self.min, maximum=self.max)


class ThresholdSpec(Spec):
    """What a gate changes of a criterion from the library."""

    success: BandSpec | None = None
    failure: BandSpec | None = None


class FailureWindowSpec(Spec):
    """`{limit: 6, window: 30m}`."""

    limit: Count
    window: PositiveDuration

    def value(self) -> FailureWindow:
        """The value it stands for."""
        return FailureWindow(limit=self.limit, window_seconds=self.window)


class ComparisonSpec(Spec):
    """`{method: paired_ratio, max_increase: 1.2, min_samples: 50}`."""

    method: Literal["paired_ratio", "rate_ratio", "rank"]
    max_increase: Annotated[Number, Field(ge=1)]
    min_samples: Annotated[int, Field(ge=2)]
    exposure_query: Query | None = None
    baseline_exposure_query: Query | None = None

    @model_validator(mode="after")
    def _exposures(self) -> Self:
        given = [self.exposure_query is not None, self.baseline_exposure_query is not None]
        if self.method == "rate_ratio" and not all(given):
            raise ValueError("a rate_ratio needs exposure_query and baseline_exposure_query")
        if self.method != "rate_ratio" and any(given):
            raise ValueError(f"{self.method} compares values, only a rate_ratio has exposures")
        return self

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        if self.method == "paired_ratio" and self.max_increase >= MAX_RATIO:
            raise ValueError(
                f"max_increase of a paired_ratio must be below {MAX_RATIO:g}, where ratios are cut,"
                " or it never fails; lower it, or compare by rank"
            )
        return self

    def comparison(self, *queries: str) -> Comparison:
        """The value it stands for, for a criterion with these queries."""
        return Comparison(
            method=self.method,
            max_increase=self.max_increase,
            min_samples=self.min_samples,
            exposure_query=self.exposure_query,
            baseline_exposure_query=self.baseline_exposure_query,
            window_seconds=max(range_seconds(query) for query in queries),
        )


class ObjectiveSpec(Spec):
    """`{target: 0.99, over: 24h}`."""

    target: Annotated[Number, Field(gt=0, lt=1)]
    over: PositiveDuration

    def value(self) -> Objective:
        """The value it stands for."""
        return Objective(target=self.target, over_seconds=self.over)


class CriterionSpec(Spec):
    """One criterion."""

    name: Name
    query: Query
    baseline_query: Query | None = None
    success: BandSpec | None = None
    failure: BandSpec | None = None
    reducer: Literal["all", "any", "max", "min", "sum", "avg"] = "all"
    expect_series: Annotated[Any, PlainValidator(series_count)] = None
    max_age: PositiveDuration | None = None
    freshness_query: Query | None = None
    severity: Literal["hard", "soft", "info"] = "hard"
    confirm_interval: PositiveDuration = 5.0
    failure_limit: Count | None = None
    consecutive_failure_limit: Count | None = None
    failure_window: FailureWindowSpec | None = None
    consecutive_error_limit: Count | None = None
    comparison: ComparisonSpec | None = None
    objective: ObjectiveSpec | None = None

    @model_validator(mode="after")
    def _judgeable(self) -> Self:
        if self.comparison is not None and self.baseline_query is None:
            raise ValueError("a comparison needs a baseline_query")
        if self.comparison is not None and self.baseline_query == self.query:
            raise ValueError("query and baseline_query are the same: it would be its own control")
        if self.freshness_query is not None and self.max_age is None:
            raise ValueError("a freshness_query needs a max_age")
        check_bands(self)
        check_series(self.expect_series, self.query)
        return self

    def criterion(self) -> Criterion:
        """The value it stands for."""
        return Criterion(
            name=self.name,
            query=self.query,
            baseline_query=self.baseline_query,
            success=_value(self.success),
            failure=_value(self.failure),
            reducer=Reducer(self.reducer),
            expect_series=self.expect_series,
            max_age_seconds=self.max_age,
            freshness_query=self.freshness_query,
            severity=Severity(self.severity),
            confirm_interval_seconds=self.confirm_interval,
            failure_limit=self.failure_limit,
            consecutive_failure_limit=self.consecutive_failure_limit,
            failure_window=_value(self.failure_window),
            consecutive_error_limit=self.consecutive_error_limit,
            comparison=self._comparison(),
            objective=_value(self.objective),
        )

    def _comparison(self) -> Comparison | None:
        if self.comparison is None or self.baseline_query is None:
            return None
        return self.comparison.comparison(self.query, self.baseline_query)


class GateSpec(Spec):
    """One gate; `criteria` holds names of the library and whole criteria."""

    interval: PositiveDuration
    evaluation_delay: Duration = 5.0
    min_duration: Duration
    max_duration: PositiveDuration | None = None
    on_timeout: Literal["hold", "rollback"] = "hold"
    min_coverage: Annotated[Number, Field(gt=0, le=1)] = 0.95
    blind_limit: Duration = 600.0
    on_blind: Literal["hold", "rollback"] = "rollback"
    lease: PositiveDuration | None = None
    criteria: Annotated[list[Any], Field(min_length=1)]
    thresholds: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _times(self) -> Self:
        if self.max_duration is not None and self.max_duration < self.min_duration:
            raise ValueError("max_duration is shorter than min_duration: it can never promote")
        if self.lease_seconds < 2 * self.interval:
            raise ValueError("lease is shorter than two intervals: a gate at work could lose it")
        return self

    @property
    def lease_seconds(self) -> float:
        """`lease`; without it `blind_limit`, as an unrenewed lease is blindness of another kind."""
        if self.lease is not None:
            return self.lease
        return max(self.blind_limit, 2 * self.interval)

    @property
    def longest(self) -> float:
        """`max_duration` in seconds; without it, 6 h or twice `min_duration`."""
        if self.max_duration is not None:
            return self.max_duration
        return max(_DEFAULT_MAX_DURATION_SECONDS, 2 * self.min_duration)

    def contradictions(self, criteria: Iterable[Criterion]) -> Iterator[tuple[str, str]]:
        """Keys that cannot work together, each with the reason."""
        if self.interval > self.longest:
            yield "interval", "longer than max_duration: no tick falls before the end"
        given = "evaluation_delay" in self.model_fields_set
        if given and self.evaluation_delay > self.min_duration:
            text = "longer than min_duration: it could promote on what was before the step"
            yield "evaluation_delay", text
        for criterion in criteria:
            if criterion.confirm_interval_seconds > self.longest:
                yield "criteria", f"{criterion.name}: confirm_interval is longer than max_duration"
            objective = criterion.objective
            if objective is not None and objective.over_seconds < self.interval:
                yield "criteria", f"{criterion.name}: objective.over is shorter than interval"
            for text in unreachable(criterion, self.interval, self.longest):
                yield "criteria", f"{criterion.name}: {text}"

    def gate(self, criteria: tuple[Criterion, ...]) -> Gate:
        """The value it stands for."""
        return Gate(
            interval_seconds=self.interval,
            evaluation_delay_seconds=self.evaluation_delay,
            min_duration_seconds=self.min_duration,
            max_duration_seconds=self.longest,
            on_timeout=Decision(self.on_timeout.capitalize()),
            min_coverage=self.min_coverage,
            blind_limit_seconds=self.blind_limit,
            on_blind=Decision(self.on_blind.capitalize()),
            lease_seconds=self.lease_seconds,
            criteria=criteria,
        )


class BareStepSpec(Spec):
    """A phase without a gate; `approval` asks a person before it."""

    approval: bool = False
    approvers: list[Any] = Field(default_factory=list)
    approval_timeout: PositiveDuration = _APPROVAL_TIMEOUT_SECONDS

    @field_validator("approvers")
    @classmethod
    def _named(cls, values: list[Any]) -> list[Approver]:
        return approvers_of(values)

    @model_validator(mode="after")
    def _somebody_asked(self) -> Self:
        given = self.model_fields_set & {"approvers", "approval_timeout"}
        if given and not self.approval:
            raise ValueError(f"{min(given)} without `approval: true`: nobody would be asked")
        return self

    def asked(self) -> dict[str, Any]:
        """Who is asked before the step, and for how long, as `Step` takes it."""
        return {
            "approval": self.approval,
            "approvers": tuple(self.approvers),
            "approval_timeout_seconds": self.approval_timeout,
        }


class GatedStepSpec(BareStepSpec):
    """A phase that a gate watches."""

    gate: Any


class CutoverStepSpec(GatedStepSpec):
    """One ramp step of the cutover."""

    percent: Annotated[int, Field(ge=1, le=100)]


class CutoverSpec(Spec):
    """The ramp."""

    steps: Annotated[list[CutoverStepSpec], Field(min_length=1)]


class PhasesSpec(Spec):
    """All phases of the runbook, in its order; `{}` where there is nothing to say."""

    preflight: BareStepSpec
    dry_run: BareStepSpec
    shadow: GatedStepSpec
    cutover: CutoverSpec
    stabilisation: GatedStepSpec
    post_migration: BareStepSpec


class PlanSpec(Spec):
    """The file."""

    name: Name
    description: str = ""
    defaults: dict[str, Any] = Field(default_factory=dict)
    criteria: list[Any] = Field(default_factory=list)
    phases: PhasesSpec


def check_bands(spec: CriterionSpec) -> None:
    """Raise ValueError on thresholds that leave values unjudged, or judge one twice.

    Lone `success` never fails, lone `failure` never succeeds (and would take NaN and empty for
    good news), and a `failure` on the far side only leaves everything beyond `success` unjudged.
    """
    if spec.success is None and spec.failure is None:
        if spec.severity != "info" and spec.comparison is None:
            raise ValueError("needs success and failure, or a comparison")
        return
    if spec.success is None or spec.failure is None:
        missing = "success" if spec.success is None else "failure"
        raise ValueError(f"one-sided: {missing} is missing, so NaN or empty would go unjudged")
    success, failure = spec.success.value(), spec.failure.value()
    if success.inverted:
        raise ValueError("success: min is above max")
    if _overlap(success, failure):
        raise ValueError("success and failure overlap")
    above = success.maximum is not None and float_info.max in failure
    below = success.minimum is not None and -float_info.max in failure
    if not above and not below:
        raise ValueError("failure covers no side of success: values beyond it would go unjudged")


def _overlap(success: Band, failure: Band) -> bool:
    """Whether more than one touching point is in both; half-lines meet at their ends only."""
    ends = {success.minimum, success.maximum, failure.minimum, failure.maximum}
    found = sorted(end for end in ends if end is not None)
    probes = [(low + high) / 2 for low, high in pairwise(found)]
    probes += [found[0] - 1, found[-1] + 1]
    return any(probe in success and probe in failure for probe in probes)


class _Valued[T](Protocol):
    def value(self) -> T: ...


def _value[T](spec: _Valued[T] | None) -> T | None:
    return None if spec is None else spec.value()
