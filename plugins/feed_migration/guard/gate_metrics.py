"""The gate that is open, or was last: each criterion with its value, limits and ticks so far."""

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from feed_migration.guard.sight import GateView, Sight
from feed_migration.model import Band, Criterion, Outcome

PREFIX = "feed_migration_"
RUN_LABELS = ("step", "run")


def gate_families(sight: Sight) -> Iterator[Metric]:
    """Yield the gate's families; without a sample where no gate was seen."""
    family = _family("gate_open", "1 while a gate of a running migration has no verdict")
    family.add_metric([], float(sight.gate_is_open))
    yield family
    yield from _run(sight.gate)
    yield from _limits(sight.gate)
    yield from _criteria(sight.gate)


def _run(view: GateView | None) -> Iterator[Metric]:
    texts = {
        "gate_started_timestamp_seconds": "When the run of the gate began, unix time",
        "gate_last_tick_timestamp_seconds": "Time of the newest tick of the run, unix time",
        "gate_interval_seconds": "How long it is from one tick to the next",
        "gate_min_duration_seconds": "How long the gate judges at least",
        "gate_max_duration_seconds": "How long the gate judges at most",
    }
    gate = view.gate if view else None
    values = (
        view.started_unix if view else None,
        view.last_tick_unix if view else None,
        gate.interval_seconds if gate else None,
        gate.min_duration_seconds if gate else None,
        gate.max_duration_seconds if gate else None,
    )
    for (name, text), value in zip(texts.items(), values, strict=True):
        family = _family(name, text, *RUN_LABELS)
        if view is not None and value is not None:
            family.add_metric([view.step, view.run], value)
        yield family


def _limits(view: GateView | None) -> Iterator[Metric]:
    family = _family(
        "criterion_limit",
        "Thresholds of a criterion: the ends of what is a success and of what is a failure",
        *("step", "criterion", "limit"),
    )
    decides = _family(
        "criterion_decides",
        "1 for criteria that can end or hold up the gate, 0 for those with severity info",
        *("step", "criterion"),
    )
    if view is not None and view.gate is not None:
        for criterion in view.gate.criteria:
            decides.add_metric([view.step, criterion.name], float(criterion.decides))
            for limit, value in _ends(criterion):
                family.add_metric([view.step, criterion.name, limit], value)
    yield from (decides, family)


def _criteria(view: GateView | None) -> Iterator[Metric]:
    labels = ("step", "criterion")
    value = _family("criterion_value", "What a criterion measured at the newest tick", *labels)
    outcome = _family(
        "criterion_outcome", "1 for what the newest tick counts as", *labels, "outcome"
    )
    ticks = _family("criterion_ticks", "Ticks of the run so far, by outcome", *labels, "outcome")
    if view is not None:
        for name, latest in sorted(view.latest.items()):
            if latest.value is not None:
                value.add_metric([view.step, name], latest.value)
            for one in Outcome:
                outcome.add_metric([view.step, name, one.value], float(latest.outcome is one))
                ticks.add_metric([view.step, name, one.value], view.ticks.get((name, one), 0))
    yield from (value, outcome, ticks)


def _ends(criterion: Criterion) -> Iterator[tuple[str, float]]:
    bands: tuple[tuple[str, Band | None], ...] = (
        ("success", criterion.success),
        ("failure", criterion.failure),
    )
    for name, band in bands:
        if band is not None and band.minimum is not None:
            yield f"{name}_min", band.minimum
        if band is not None and band.maximum is not None:
            yield f"{name}_max", band.maximum


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)
