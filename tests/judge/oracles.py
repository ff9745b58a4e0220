"""The decision rules of Argo Rollouts, Flagger and Kayenta, as test oracles beside our judge.

Each is the rule for one Prometheus metric "at most 30" with the documented defaults, over the same
answers that our judge gets: no second samples, no freshness and no fleet size, as they have none.
"""

from collections.abc import Callable, Sequence
from math import isnan

from scipy.stats import mannwhitneyu

from feed_migration.gates.replay import replay
from feed_migration.gates.trace import Trace
from feed_migration.model import Answer, Decision

type Rule = Callable[[Trace], Decision]

LIMIT, BAD = 30.0, 45.0
ARGO_ERROR_SECONDS = 40.0  # consecutiveErrorLimit 4, asked again every 10 s
FLAGGER_THRESHOLD = 5
KAYENTA_ALPHA, KAYENTA_TOLERANCE = 0.02, 1.25


def judge(trace: Trace) -> Decision:
    """Ours: what `backpack-migrate gate replay` says at the end."""
    return list(replay(trace))[-1].decision


def argo(trace: Trace) -> Decision:
    """An AnalysisRun with `failureCondition: result[0] >= 45`, failureLimit 0.

    `metricutil.EvaluateResult`: a lone failure condition that is not true is a success, and NaN
    compares false; an index out of range and a failed query are errors; only errors in a row count.
    `TerminateRun` before a measurement leaves the run Successful.
    """
    errors_since: float | None = None
    for at, answer in _answers(trace):
        broken = answer.error is not None or not answer.series
        if not broken:
            errors_since = None
            if answer.series[0][1] >= BAD:
                return Decision.ROLLBACK
            continue
        errors_since = at if errors_since is None else errors_since
        if at + trace.gate.interval_seconds - errors_since > ARGO_ERROR_SECONDS:
            return Decision.ROLLBACK
    return Decision.PROMOTE


def flagger(trace: Trace) -> Decision:
    """A Canary with `thresholdRange: {max: 30}`, threshold 5, an iteration per good check.

    The Prometheus provider takes the last series; "no values found", NaN, a failed query and a value
    out of range are one counter that never goes down. A deleted Canary leaves the primary alone.
    """
    failed, iterations = 0, 0
    for _, answer in _answers(trace):
        value = answer.series[-1][1] if answer.series and answer.error is None else None
        if value is None or isnan(value) or value > LIMIT:
            failed += 1
        else:
            iterations += 1
        if failed >= FLAGGER_THRESHOLD:
            return Decision.ROLLBACK
        if iterations >= _needed(trace):
            return Decision.PROMOTE
    return Decision.HOLD


def kayenta(trace: Trace) -> Decision:
    """One judgement at the end: Mann-Whitney at 98 %, "High" beyond the tolerance fails.

    `nanStrategy: remove` drops what is missing; a metric without data is Nodata, which neither
    passes nor fails, and without a failed metric the score is a pass. A failed query, and a run that
    is cancelled, end the pipeline.
    """
    if trace.end_seconds is not None:
        return Decision.HOLD
    values: list[float] = []
    baseline: list[float] = []
    for _, answer in _answers(trace)[: _needed(trace)]:
        if answer.error is not None:
            return Decision.HOLD
        values += _finite(answer.series)
        baseline += _finite(answer.baseline or ())
    if not values or not baseline:
        return Decision.PROMOTE
    scaled = [value * KAYENTA_TOLERANCE for value in baseline]
    high = mannwhitneyu(values, scaled, alternative="greater", method="asymptotic")
    return Decision.ROLLBACK if high.pvalue < KAYENTA_ALPHA / 2 else Decision.PROMOTE


RULES: dict[str, Rule] = {"ours": judge, "Argo": argo, "Flagger": flagger, "Kayenta": kayenta}


def _answers(trace: Trace) -> list[tuple[float, Answer]]:
    end = float("inf") if trace.end_seconds is None else trace.end_seconds
    return [
        (tick.at_seconds, answer)
        for tick in trace.ticks
        if not tick.confirm and tick.at_seconds <= end
        for answer in tick.answers.values()
    ]


def _needed(trace: Trace) -> int:
    return int(trace.gate.min_duration_seconds / trace.gate.interval_seconds) + 1


def _finite(series: Sequence[tuple[object, float]]) -> list[float]:
    return [value for _, value in series if abs(value) < float("inf")]
