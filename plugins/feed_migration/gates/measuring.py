"""An answer becomes a measurement: pure; NaN, empty, stale or partial is never a Success."""

from collections.abc import Sequence
from dataclasses import replace
from math import fsum, inf, isfinite, isinf, isnan, nan

from feed_migration.gates.comparing import incomparable
from feed_migration.model import Answer, Criterion, Labels, Measurement, Outcome, Reducer, Series

# Labels of which one instance has many values.
_OF_ONE_INSTANCE = {"symbol", "channel", "variant", "instance_id"}
_BADNESS = {Outcome.SUCCESS: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAILURE: 2}


def measure(
    criterion: Criterion, answer: Answer, tick_seconds: float, fleet_size: int
) -> Measurement:
    """What `answer` says about `criterion` at a tick (the table of docs/gates.md).

    `fleet_size` is the number of instances that `expect_series: fleet` means.
    """
    blank = Measurement(
        criterion=criterion.name,
        tick_seconds=tick_seconds,
        outcome=Outcome.ERROR,
        counts_as=Outcome.ERROR,
        threshold=criterion.threshold,
        query=criterion.query,
    )
    unusable = answer.error or "; ".join(answer.warnings)
    if unusable:
        return replace(blank, detail=unusable)
    if ahead := _from_the_future(criterion, answer):
        return replace(blank, outcome=Outcome.NO_DATA, detail=ahead)
    if absent := _staleness(criterion, answer) or "no series" * (not answer.series):
        return _no_data(blank, answer, absent)
    value, labels = reduce_series(criterion, answer.series)
    outcome = classify(criterion, value)
    measured = replace(
        blank,
        outcome=outcome,
        counts_as=outcome,
        value=value,
        series=labels,
        baseline_value=_baseline_value(criterion, answer),
        exposure=answer.exposure,
        baseline_exposure=answer.baseline_exposure,
    )
    if missing := _missing_series(criterion, answer, fleet_size):
        # one series that fails is proof whatever the missing ones would say
        if outcome is Outcome.FAILURE and criterion.reducer is Reducer.ALL:
            return replace(measured, detail=missing)
        return _no_data(measured, answer, missing)
    return _paired(criterion, answer, measured)


def needs_confirmation(measurement: Measurement) -> bool:
    """Whether the criterion is asked again after its confirm interval."""
    return measurement.outcome in {Outcome.FAILURE, Outcome.NO_DATA}


def confirm(first: Measurement, second: Measurement) -> Measurement:
    """The first measurement in the light of the second sample.

    A Failure stands unless the second sample shows it gone: an Error shows nothing. Series that
    were missing beside a live baseline are the pipeline's Error once the baseline is gone too.
    """
    if second.counts_as in {Outcome.SUCCESS, Outcome.INCONCLUSIVE}:
        return first.refuted(f"{first.detail} confirm sample: {second.outcome}".strip())
    if first.outcome is Outcome.NO_DATA and second.counts_as is Outcome.ERROR:
        return replace(first, counts_as=Outcome.ERROR)
    return first


def classify(criterion: Criterion, value: float) -> Outcome:
    """Success, Failure or Inconclusive for one value."""
    if isnan(value):
        return Outcome.INCONCLUSIVE
    if isinf(value):
        return Outcome.FAILURE
    # success first: where the two touch, the value is within
    if criterion.success is not None and value in criterion.success:
        return Outcome.SUCCESS
    if criterion.failure is not None and value in criterion.failure:
        return Outcome.FAILURE
    # nothing but a comparison or a record: the value is there, and that is all it must be
    unbounded = criterion.success is None and criterion.failure is None
    return Outcome.SUCCESS if unbounded else Outcome.INCONCLUSIVE


def reduce_series(criterion: Criterion, series: Sequence[Series]) -> tuple[float, Labels]:
    """The value that stands for all `series` (at least one), and the labels it came from."""
    if criterion.reducer in {Reducer.ALL, Reducer.ANY}:
        pick = max if criterion.reducer is Reducer.ALL else min
        labels, value = pick(series, key=lambda one: _badness(criterion, one[1]))
        return value, labels
    values = [value for _, value in series]
    # no average and no minimum may hide an infinity or a NaN
    for labels, value in series:
        if isinf(value):
            return value, labels
    unknown = any(isnan(value) for value in values)
    if criterion.reducer in {Reducer.MAX, Reducer.MIN}:
        known = [one for one in series if not isnan(one[1])]
        pick = max if criterion.reducer is Reducer.MAX else min
        labels, value = pick(known, key=lambda one: one[1], default=((), nan))
        if not unknown or _fails_anyway(criterion, value):
            return value, labels
    if unknown:
        return nan, ()
    if criterion.reducer is Reducer.AVG:
        return fsum(value / len(values) for value in values), ()
    return _sum(values), ()


def _fails_anyway(criterion: Criterion, value: float) -> bool:
    """Whether this maximum or minimum is a Failure whatever the series without a number are."""
    band = criterion.failure
    if band is None or value not in band:
        return False
    if criterion.reducer is Reducer.MAX:
        above = band.minimum is not None and value >= band.minimum
        return above and (band.maximum is None or band.inverted)
    below = band.maximum is not None and value <= band.maximum
    return below and (band.minimum is None or band.inverted)


def _sum(values: Sequence[float]) -> float:
    """The sum; what is beyond a float is an infinity like any other."""
    try:
        return fsum(values)
    except OverflowError:
        return sum(values)


def _badness(criterion: Criterion, value: float) -> tuple[int, float]:
    outcome = classify(criterion, value)
    return _BADNESS[outcome], _distance(criterion, value)


def _distance(criterion: Criterion, value: float) -> float:
    """How far outside of `success` a value lies; inside, how near to its nearest end (negative)."""
    if not isfinite(value):
        return inf
    band = criterion.success
    ends = [] if band is None else [band.minimum, band.maximum]
    signed = [
        side * (value - end) for side, end in zip((-1, 1), ends, strict=False) if end is not None
    ]
    return max(signed, default=value)


def _from_the_future(criterion: Criterion, answer: Answer) -> str:
    """A clock that cannot be trusted: no evidence for the feed, and none against it either."""
    limit, age = criterion.max_age_seconds, answer.age_seconds
    if limit is None or age is None or not age < -limit:
        return ""
    return f"newest message is {-age:g} s in the future; set the clocks of feed and Prometheus"


def _staleness(criterion: Criterion, answer: Answer) -> str:
    limit = criterion.max_age_seconds
    if limit is None:
        return ""
    age = answer.age_seconds
    if age is None or isnan(age):
        return "no freshness: no message was ever seen"
    return f"newest message is {age:g} s old, limit {limit:g} s" if age > limit else ""


def _missing_series(criterion: Criterion, answer: Answer, fleet_size: int) -> str:
    if criterion.expect_series is None:
        return ""
    if criterion.expect_series == "fleet":
        expected, noun = fleet_size, "instances"
        found = len({_instance(labels) for labels, _ in answer.series})
    else:
        expected, noun = criterion.expect_series, "series"
        found = len({labels for labels, _ in answer.series})
    return f"{found} of {expected} {noun}" if found < expected else ""


def _instance(labels: Labels) -> str | Labels:
    """Which instance a series is of; without `instance_id`, what no instance has many of."""
    known = dict(labels).get("instance_id")
    return known or tuple(one for one in labels if one[0] not in _OF_ONE_INSTANCE)


def _no_data(blank: Measurement, answer: Answer, detail: str) -> Measurement:
    alive = any(not isnan(value) for _, value in answer.baseline or ())
    blamed = alive and answer.baseline_error is None
    where = "the baseline has data" if blamed else "no baseline to tell feed from pipeline"
    return replace(
        blank,
        outcome=Outcome.NO_DATA,
        counts_as=Outcome.FAILURE if blamed else Outcome.ERROR,
        detail=f"{detail}; {where}",
    )


def _baseline_value(criterion: Criterion, answer: Answer) -> float | None:
    return reduce_series(criterion, answer.baseline)[0] if answer.baseline else None


def _paired(criterion: Criterion, answer: Answer, measured: Measurement) -> Measurement:
    """A comparison without its control group is no Success, whatever the value."""
    if criterion.comparison is None or measured.outcome is not Outcome.SUCCESS:
        return measured
    if answer.baseline_error is not None:
        error = Outcome.ERROR
        return replace(measured, outcome=error, counts_as=error, detail=answer.baseline_error)
    if text := incomparable(criterion.comparison, measured):
        unsure = Outcome.INCONCLUSIVE
        return replace(measured, outcome=unsure, counts_as=unsure, detail=text)
    return measured
