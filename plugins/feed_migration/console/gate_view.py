"""A gate on its way, criterion by criterion: newest value, history, what may still fail. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from feed_migration.console.view import GateRunFacts
from feed_migration.events import Event
from feed_migration.evidence import verdict_line
from feed_migration.model import Criterion, Gate, Measurement, Outcome
from feed_migration.numbers_json import number_to_json

# What a sparkline shows
POINTS = 60
# Labels that say the same of every series
_EVERYWHERE = frozenset({"__name__", "job", "instance", "role", "variant"})


def gate_view(
    facts: GateRunFacts | None,
    gate: Gate | None,
    measurements: Sequence[Measurement],
    verdict: Event | None = None,
) -> dict[str, Any]:
    """Return the run of a gate; without its plan (`gate` None) only what was measured.

    `measurements` are those of the run, in the order of their ticks; `verdict` is what ended it.
    """
    by_name: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        by_name.setdefault(measurement.criterion, []).append(measurement)
    started = facts.started_unix if facts else 0.0
    criteria: Mapping[str, Criterion | None] = dict.fromkeys(by_name)
    if gate is not None and facts is not None:
        criteria = {criterion.name: criterion for criterion in gate.criteria}
    return {
        "step": facts.step if facts else None,
        "run": facts.run if facts else None,
        "dag_id": facts.dag_id if facts else None,
        "run_id": facts.run_id if facts else None,
        "started_at": started or None,
        "min_duration_seconds": gate.min_duration_seconds if gate else None,
        "max_duration_seconds": gate.max_duration_seconds if gate else None,
        "interval_seconds": gate.interval_seconds if gate else None,
        "verdict": {
            "decision": str(verdict.body.get("decision")),
            "line": verdict_line(verdict.body, measurements),
            "at": verdict.at,
        }
        if verdict
        else None,
        "criteria": [
            _criterion(name, criterion, gate, by_name.get(name, []), started)
            for name, criterion in criteria.items()
        ],
    }


def _criterion(
    name: str,
    criterion: Criterion | None,
    gate: Gate | None,
    measured: Sequence[Measurement],
    started: float,
) -> dict[str, Any]:
    latest = measured[-1] if measured else None
    return {
        "name": name,
        "severity": str(criterion.severity) if criterion else None,
        "threshold": criterion.threshold if criterion else latest.threshold if latest else "",
        "query": criterion.query if criterion else latest.query if latest else "",
        "budget": budget(criterion, gate, measured) if criterion and gate else None,
        "points": [
            [m.tick_seconds, number_to_json(m.value), str(m.outcome)] for m in measured[-POINTS:]
        ],
        **_latest(latest, started, compared=criterion is None or criterion.comparison is not None),
    }


def _latest(latest: Measurement | None, started: float, *, compared: bool) -> dict[str, Any]:
    """`compared`: elsewhere the baseline only tells whether the pipeline lives."""
    if latest is None:
        return {"outcome": None, "value": None, "baseline": None, "at": None, "detail": ""}
    series = ", ".join(f"{key}={value}" for key, value in latest.series if key not in _EVERYWHERE)
    refuted = "" if latest.confirmed else "a second sample did not repeat it"
    return {
        "outcome": str(latest.outcome),
        "value": number_to_json(latest.value),
        "baseline": number_to_json(latest.baseline_value) if compared else None,
        "at": started + latest.tick_seconds,
        "detail": "; ".join(filter(None, (latest.detail, refuted, series))),
    }


def budget(
    criterion: Criterion, gate: Gate, measured: Sequence[Measurement]
) -> dict[str, Any] | None:
    """Return how many failures the tightest limit still allows, None where there is none.

    {text, allowed, spent, left_share}; counts as `tracking.Track` does, "more than N" breaches.
    """
    limits = [entry for entry in _limits(criterion, gate, measured) if entry[1] is not None]
    if not limits:
        return None
    text, allowed, spent = min(limits, key=lambda entry: _left(entry[1], entry[2]))
    return {
        "text": f"{spent} of {allowed:.4g} {text}",
        "allowed": allowed,
        "spent": spent,
        "left_share": _left(allowed, spent),
    }


def _limits(
    criterion: Criterion, gate: Gate, measured: Sequence[Measurement]
) -> Iterable[tuple[str, float | None, int]]:
    failed = [m for m in measured if m.counts_as is Outcome.FAILURE]
    newest = measured[-1].tick_seconds if measured else 0.0
    yield "failures", criterion.failure_limit, len(failed)
    yield "failures in a row", criterion.consecutive_failure_limit, _streak(measured)
    if (window := criterion.failure_window) is not None:
        within = sum(m.tick_seconds >= newest - window.window_seconds for m in failed)
        yield f"failures within {window.window_seconds:g} s", window.limit, within
    if (objective := criterion.objective) is not None:
        allowed = (1 - objective.target) * objective.over_seconds / gate.interval_seconds
        spent = sum(m.tick_seconds > newest - objective.over_seconds for m in failed)
        yield f"bad checks within {objective.over_seconds:g} s", allowed, spent


def _streak(measured: Sequence[Measurement]) -> int:
    streak = 0
    for measurement in reversed(measured):
        if measurement.counts_as is Outcome.ERROR:
            continue
        if measurement.counts_as is not Outcome.FAILURE or not measurement.confirmed:
            break
        streak += 1
    return streak


def _left(allowed: float | None, spent: int) -> float:
    """Return the share that is left, 0 once the next failure breaches."""
    return max(0.0, 1 - spent / allowed) if allowed else 0.0
