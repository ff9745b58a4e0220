"""A rollback as a section of the runbook page: what failed, by how much, and what was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feed_migration.describing import describe
from feed_migration.events import (
    Event,
    EventKind,
    body_epoch,
    body_mapping,
    body_mappings,
    body_names,
    body_number,
)
from feed_migration.markdown import cell, code, code_block, labels, number, table, utc
from feed_migration.model import Decision
from feed_migration.phases import MigrationState, fold

__all__ = [
    "Incident",
    "describe",
    "incident_from",
    "indicators",
    "render_incident",
    "render_verification",
    "timeline",
]


@dataclass(frozen=True, kw_only=True)
class Incident:
    """What is known of one rollback; times are unix seconds, `logs` are redacted lines."""

    migration_id: str
    epoch: int
    reason: str
    actor: str
    state: MigrationState
    breach_at: float | None
    verified_at: float | None
    breach_to_rollback_seconds: float | None
    before: Mapping[str, str]
    after: Mapping[str, str]
    logs: Mapping[str, Sequence[str]]
    verdict: Mapping[str, Any] | None
    verdict_at: float | None
    events: Sequence[Event] = field(default=())

    @property
    def marker(self) -> str:
        """The comment by which the page shows that this incident is in it."""
        return f"<!-- incident {self.migration_id} epoch {self.epoch} -->"

    @property
    def verified_marker(self) -> str:
        """The comment by which the page shows that it tells of the verification."""
        return f"<!-- verified {self.migration_id} epoch {self.epoch} -->"


def incident_from(events: Sequence[Event]) -> Incident | None:
    """Return the latest rollback in `events` of one migration, None where there was none."""
    started = _last(events, EventKind.ROLLBACK_STARTED)
    if started is None:
        return None
    first = next(e for e in events if e.kind == EventKind.ROLLBACK_STARTED)
    verified = _last(events, EventKind.ROLLBACK_VERIFIED, after=started.seq)
    verdict = _last_bad_verdict(events)
    proof = verified.body if verified else {}
    return Incident(
        migration_id=started.migration_id,
        epoch=body_epoch(started.body),
        reason=str(started.body.get("reason", "")),
        actor=started.actor,
        state=fold(events),
        breach_at=next(
            filter(None, (body_number(b, "breach_at") for b in (proof, started.body))), None
        ),
        verified_at=verified.at if verified else None,
        breach_to_rollback_seconds=body_number(proof, "breach_to_rollback_seconds"),
        # a resumed rollback finds instances that the first attempt had flipped already
        before=body_mapping(first.body, "instances"),
        after=body_mapping(proof, "instances"),
        logs={
            name: body_names(body_mapping(first.body, "logs"), name)
            for name in body_mapping(first.body, "logs")
        },
        verdict=verdict.body if verdict else None,
        verdict_at=verdict.at if verdict else None,
        events=events,
    )


def render_incident(incident: Incident) -> str:
    """Return the section, headings from level 2 on."""
    parts = [
        incident.marker,
        *([incident.verified_marker] if incident.verified_at is not None else []),
        f"## {utc(incident.breach_at)} · {cell(incident.migration_id)} rolled back",
        _summary(incident),
        "### Failure indicators",
        _indicators(incident),
        "### Instances",
        _instances(incident),
        "### Timeline",
        timeline(incident.events) if incident.events else "The journal was not available.",
        "### Logs before the restart",
        *(_logs(incident) or ["No instance was affected, so no log was kept."]),
    ]
    return "\n\n".join(parts) + "\n"


def render_verification(incident: Incident) -> str:
    """Return the section for a page that told of the incident before it was verified."""
    parts = [
        incident.verified_marker,
        f"## {utc(incident.verified_at)} · {cell(incident.migration_id)} rollback verified",
        f"The incident of {utc(incident.breach_at)} above was written before this.",
        _summary(incident),
        "### Instances",
        _instances(incident),
    ]
    return "\n\n".join(parts) + "\n"


def timeline(events: Sequence[Event]) -> str:
    """Return every event as a row: when, how long after the first, what and who."""
    start = events[0].at
    return table(
        ("at", "after", "event", "what", "who"),
        [
            (utc(event.at), f"{event.at - start:+.1f} s", event.kind, describe(event), event.actor)
            for event in events
        ],
    )


def indicators(verdict: Mapping[str, Any]) -> str:
    """Return the criteria of a verdict with value, threshold, series and query."""
    reasons = body_mappings(verdict, "reasons")
    rows = [
        (
            reason.get("criterion", ""),
            number(reason.get("value")),
            reason.get("threshold", ""),
            labels(reason.get("series")),
            reason.get("text", ""),
        )
        for reason in reasons
    ]
    queries = [
        f"* {cell(reason.get('criterion', ''))}: {code(reason['query'])}"
        for reason in reasons
        if reason.get("query")
    ]
    head = ("criterion", "value", "threshold", "series", "finding")
    return "\n\n".join(filter(None, (table(head, rows), "\n".join(queries))))


def _instances(incident: Incident) -> str:
    rows = [
        (name, variant, incident.after.get(name, "not verified"))
        for name, variant in incident.before.items()
    ]
    return table(("instance", "before", "after"), rows)


def _indicators(incident: Incident) -> str:
    if incident.verdict is None:
        return "No gate gave a verdict: the rollback was asked for, or the run ended without one."
    at = incident.verdict.get("at_seconds")
    since = f", {at:.0f} s into the gate" if isinstance(at, int | float) else ""
    head = (
        f"Verdict **{cell(incident.verdict.get('decision'))}** of step "
        f"{cell(incident.verdict.get('step'))} at {utc(incident.verdict_at)}{since}:"
    )
    return f"{head}\n\n{indicators(incident.verdict)}"


def _summary(incident: Incident) -> str:
    took = incident.breach_to_rollback_seconds
    state = incident.state
    # what a person asked for, and a silence, has no breach
    began = "breach" if state.breached else "begun"
    return table(
        ("what", "value"),
        [
            ("plan", f"{state.plan_name} {state.plan_sha256[:12]}".strip() or "unknown"),
            ("phase, step", ", ".join(filter(None, (state.phase, state.step))) or "unknown"),
            ("reason", incident.reason),
            ("rolled back by", incident.actor),
            (began, utc(incident.breach_at)),
            ("ccxt verified", utc(incident.verified_at)),
            (f"{began} to verified rollback", "not verified" if took is None else f"{took:.1f} s"),
            ("fencing epoch", incident.epoch),
        ],
    )


def _logs(incident: Incident) -> list[str]:
    return [f"#### {cell(name)}\n\n{code_block(lines)}" for name, lines in incident.logs.items()]


def _last(events: Sequence[Event], kind: EventKind, after: int = 0) -> Event | None:
    return next((e for e in reversed(events) if e.kind == kind and e.seq > after), None)


def _last_bad_verdict(events: Sequence[Event]) -> Event | None:
    verdicts = [e for e in events if e.kind == EventKind.VERDICT]
    breach = [e for e in verdicts if e.body.get("decision") == Decision.ROLLBACK]
    held = [e for e in verdicts if e.body.get("decision") == Decision.HOLD]
    return next(reversed(breach or held), None)
