"""Where the migration is, for Prometheus: status, steps, approvals, lease, what happened."""

import math
from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from feed_migration.events import EventKind
from feed_migration.guard.sight import Sight, Story
from feed_migration.guard.waiting import feedback_since, next_phase_since
from feed_migration.model import Decision
from feed_migration.phases import MigrationState, Status

PREFIX = "feed_migration_"
STEP_LABELS = ("step", "phase")
DECISIONS = (Decision.PROMOTE, Decision.HOLD, Decision.ROLLBACK)


def migration_families(sight: Sight, now_unix: float) -> Iterator[Metric]:
    """Yield every family of the newest migration; only the fleet's size before the first reading.

    Every status, event kind and decision is there from the start, at zero.
    """
    yield _gauge("fleet_instances", "Instances that the deployment lists", float(sight.fleet_size))
    story = sight.story
    if story is None:
        return
    yield from _status(story)
    yield from _steps(story)
    yield from _approvals(sight, story.state, now_unix)
    yield from _others_asked(sight, now_unix)
    yield from _lease(sight)
    yield from _counts(story)
    intact = sight.audit_intact
    text = "1 while the migration's events are what the chain says, 0 once they were changed"
    yield _gauge("audit_intact", text, None if intact is None else float(intact))


def _status(story: Story) -> Iterator[Metric]:
    state = story.state
    family = _family("status", "1 for the status that the journal gives, 0 for others", "status")
    for status in Status:
        family.add_metric([status.value], float(state.status is status))
    yield family
    family = _family("info", "1, with what is migrated by", "migration_id", "plan", "plan_sha256")
    if state.migration_id:
        told = (state.migration_id, state.plan_name, state.plan_sha256)
        family.add_metric([_label(one) for one in told], 1.0)
    yield family
    times = (
        ("started_timestamp_seconds", "When the migration began, unix time", state.started_at),
        (
            "status_since_timestamp_seconds",
            "When the status last changed, unix time",
            story.status_since,
        ),
        ("ended_timestamp_seconds", "When the migration ended, unix time", state.ended_at),
    )
    for name, text, value in times:
        yield _gauge(name, text, value)


def _steps(story: Story) -> Iterator[Metric]:
    state = story.state
    current = _family("step_current", "1 for the step that the migration is at", *STEP_LABELS)
    promoted = _family("step_promoted", "1 for steps that are promoted", *STEP_LABELS)
    started = _family(
        "step_started_timestamp_seconds", "When a step was first begun, unix time", *STEP_LABELS
    )
    percent = _family(
        "step_percent", "Share of the fleet that a step of the cutover exposes", *STEP_LABELS
    )
    for facts in state.steps:
        name = str(facts.get("name", ""))
        labels = [_label(name), _label(facts.get("phase") or "")]
        here = state.status.active and name == state.step
        current.add_metric(labels, float(here))
        promoted.add_metric(labels, float(name in state.promoted))
        if name in story.step_started:
            started.add_metric(labels, story.step_started[name])
        share = facts.get("percent")
        if isinstance(share, int) and not isinstance(share, bool):
            percent.add_metric(labels, share)
    yield from (current, promoted, started, percent)


def _approvals(sight: Sight, state: MigrationState, now_unix: float) -> Iterator[Metric]:
    waiting = _family(
        "approval_waiting_seconds", "How long a person is waited for, 0 without a wait", "step"
    )
    left = _family(
        "approval_left_seconds",
        "Until a missing answer counts as a no; NaN while nobody is waited for",
        "step",
    )
    wait = sight.wait
    for name in (str(facts.get("name", "")) for facts in state.steps if facts.get("approval")):
        asked = wait is not None and wait.step == name
        since = now_unix - wait.since_unix if wait is not None and asked else 0.0
        until = wait.until_unix - now_unix if wait is not None and asked else math.nan
        waiting.add_metric([_label(name)], max(0.0, since))
        left.add_metric([_label(name)], until)
    yield from (waiting, left)


def _others_asked(sight: Sight, now_unix: float) -> Iterator[Metric]:
    for metric, text, asked_at in (
        (
            "feedback_waiting_seconds",
            "How long consumers have been asked for feedback, 0 without a wait",
            feedback_since(sight, now_unix),
        ),
        (
            "next_phase_waiting_seconds",
            "How long a person has been waited for to start the next phase, 0 without a wait",
            next_phase_since(sight),
        ),
    ):
        since = now_unix if asked_at is None else asked_at
        yield _gauge(metric, text, max(0.0, now_unix - since))


def _lease(sight: Sight) -> Iterator[Metric]:
    lease = sight.known.lease if sight.known else None
    length = _family("lease_seconds", "Length of the lease as it was last renewed", "holder")
    if lease is not None:
        length.add_metric([lease.holder], lease.seconds)
    yield length


def _counts(story: Story) -> Iterator[Metric]:
    yield _counts_of(
        "events",
        "Events in the journal, of every migration",
        "kind",
        {kind.value: story.events.get(kind.value, 0) for kind in EventKind},
    )
    yield _counts_of(
        "verdicts",
        "Verdicts in the journal, of every migration",
        "decision",
        {one.value: story.verdicts.get(one.value, 0) for one in DECISIONS},
    )
    yield _gauge(
        "last_rollback_seconds",
        "From the breach to the proof in the newest verified rollback; NaN before any",
        math.nan if story.rollback_seconds is None else story.rollback_seconds,
    )


def _counts_of(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for key, count in counts.items():
        family.add_metric([key], count)
    return family


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)


def _gauge(name: str, text: str, value: float | None) -> Metric:
    """Return a family with one sample, or with none where there is no value yet."""
    family = _family(name, text)
    if value is not None:
        family.add_metric([], value)
    return family


def _label(value: object) -> str:
    """Return what a body says as UTF-8 can hold it; it may have been written by hand."""
    return str(value).encode("utf-8", "backslashreplace").decode()
