"""Evidence → Markdown and JSON: the incident page after a rollback, the report of a migration."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from feed_migration.deployment import Deployment
from feed_migration.durable import append_whole, lock
from feed_migration.errors import EnvironmentUnavailable, JournalUnavailable
from feed_migration.events import Event, EventKind
from feed_migration.journal.chain import VerifyResult
from feed_migration.journal.recorder import Recorder
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.markdown import cell, table, utc
from feed_migration.phases import MigrationState, fold
from feed_migration.report.incident import (
    Incident,
    describe,
    incident_from,
    indicators,
    render_incident,
    render_verification,
    timeline,
)
from feed_migration.report.parity import ShardParity, parity_section
from feed_migration.report.taken_back import correct_report
from feed_migration.rollback import RollbackResult, RollbackVerified

LOG = logging.getLogger(__name__)
_TEMPLATE = Path(__file__).resolve().parents[3] / "docs" / "migrations" / "backpack_ccxt.md"
_FALLBACK = "# Backpack: from ccxt to the native feed\n\n# Incidents\n"


def document_incident(
    deployment: Deployment,
    journal: Journal | None,
    migration_id: str,
    actor: str,
    *,
    result: RollbackResult | None = None,
    proof: RollbackVerified | None = None,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
) -> Path:
    """Append the latest rollback of `migration_id` to the deployment's runbook page, once.

    One that was on the page before it was verified gets a second section when it is. The report of
    a migration that had been promoted says from then on that it was taken back.
    The journal has all that is needed; `result` and `proof` stand in where it does not answer.
    Returns the page. Raises `EnvironmentUnavailable` where there is nothing to document or the
    page cannot be written.
    """
    incident = _incident(journal, migration_id, actor, result=result, proof=proof, now=clock())
    page = deployment.incidents_file
    try:
        appended, sections = _append_once(page, incident)
    except BlockingIOError as error:
        raise EnvironmentUnavailable(
            f"{page}: another process holds it", "end one that was stopped over it, then repeat"
        ) from error
    except OSError as error:
        raise EnvironmentUnavailable(
            f"{page}: cannot be written ({error.strerror})", "free the disk, then repeat"
        ) from error
    for marker in _untold(incident, appended, sections):
        spool = Spool(deployment.spool_file)
        recorder = Recorder(journal, spool, migration_id=migration_id, actor=actor, clock=clock)
        body = {"path": str(page), "marker": marker}
        recorder.write_once(EventKind.INCIDENT_DOCUMENTED, body, by="marker")
    try:
        correct_report(page.with_name(f"{migration_id}.md"), incident, page)
    except (OSError, ValueError) as error:
        # the incident is written down, and that is what counts
        LOG.warning("the report of %s still says promoted: %s", migration_id, error)
    return page


def migration_summary(
    events: Sequence[Event], instances: Mapping[str, str], audit: VerifyResult
) -> dict[str, Any]:
    """Return the migration as JSON values; `instances` is id → variant now. Seconds, unix times."""
    state = fold(events)
    incident = incident_from(events)
    latest = state.ended_at or (events[-1].at if events else None)
    started = state.started_at
    return {
        "migration_id": state.migration_id,
        "plan": state.plan_name,
        "plan_sha256": state.plan_sha256,
        "outcome": str(state.status),
        "phase": state.phase,
        "step": state.step,
        "promoted": list(state.promoted),
        "instances": _by_variant(instances),
        "reason": state.reason,
        "breached": state.breached,
        "breach_to_rollback_s": incident.breach_to_rollback_seconds if incident else None,
        "audit_ok": audit.ok,
        "audit_head": audit.head,
        "started_at": started,
        "ended_at": state.ended_at,
        "wall_s": latest - started if latest is not None and started is not None else None,
    }


def migration_report(
    events: Sequence[Event],
    instances: Mapping[str, str],
    audit: VerifyResult,
    parity: Sequence[ShardParity] = (),
) -> str:
    """Return the whole migration as Markdown: outcome, steps, verdicts, parity, timeline."""
    state = fold(events)
    incident = incident_from(events)
    parts = [
        f"# Migration {cell(state.migration_id)}: {cell(str(state.status).replace('_', ' '))}",
        _facts(migration_summary(events, instances, audit)),
        "## Steps",
        _steps(state, events),
        "## Verdicts",
        *(_verdicts(events) or ["No gate gave a verdict."]),
        "## Parity",
        parity_section(parity),
        "## Approvals",
        _approvals(events) or "Nobody was asked.",
        "## Timeline",
        timeline(events) if events else "The journal has no event of this migration.",
    ]
    if incident is not None:
        parts += ["# Incident", render_incident(incident)]
    return "\n\n".join(parts) + "\n"


def _incident(
    journal: Journal | None,
    migration_id: str,
    actor: str,
    *,
    result: RollbackResult | None,
    proof: RollbackVerified | None,
    now: float,
) -> Incident:
    if journal is not None:
        try:
            incident = incident_from(journal.events(migration_id))
        except JournalUnavailable:
            incident = None
        if incident is not None:
            return incident
    if result is None:
        raise EnvironmentUnavailable(
            f"the journal knows of no rollback of {migration_id}", "run `backpack-migrate rollback`"
        )
    return Incident(
        migration_id=migration_id,
        epoch=result.epoch,
        reason=result.reason,
        actor=actor,
        state=MigrationState(
            migration_id=migration_id, breached=proof is not None and proof.breached
        ),
        breach_at=result.breach_at,
        verified_at=now if proof else None,
        breach_to_rollback_seconds=proof.breach_to_rollback_seconds if proof else None,
        before=result.before,
        after=proof.instances if proof else {},
        logs=result.logs,
        verdict=None,
        verdict_at=None,
    )


def _append_once(page: Path, incident: Incident) -> tuple[str, list[str]]:
    """Append what the page lacks of `incident`, whole or not at all.

    Returns the marker of that, "" where it lacked nothing, and those of all sections it has now.
    """
    page.parent.mkdir(parents=True, exist_ok=True)
    with page.open("a+b", buffering=0) as stream:
        lock(stream.fileno())
        stream.seek(0)
        text = stream.read().decode(errors="replace")
        marker, section = _missing(text, incident)
        if marker:
            head = "" if text else _template()
            append_whole(stream.fileno(), f"{head}\n{section}".encode())
            text += section
        return marker, _sections(text, incident)


def _sections(text: str, incident: Incident) -> list[str]:
    """Return the markers of the incident's sections; the first may tell of the verification."""
    at_once = f"{incident.marker}\n\n{incident.verified_marker}" in text
    markers = [incident.marker] if at_once else [incident.marker, incident.verified_marker]
    return [marker for marker in markers if marker in text]


def _untold(incident: Incident, appended: str, sections: Sequence[str]) -> list[str]:
    """Return of which sections the journal is yet to hear: who wrote one may have been killed.

    Where the journal does not answer, nobody knows of any but the one that was `appended` now.
    """
    kind = EventKind.INCIDENT_DOCUMENTED
    told = [event.body.get("marker") for event in incident.events if event.kind == kind]
    return [
        marker
        for marker in sections
        if marker == appended or (incident.events and marker not in told)
    ]


def _missing(text: str, incident: Incident) -> tuple[str, str]:
    if incident.marker not in text:
        return incident.marker, render_incident(incident)
    if incident.verified_at is not None and incident.verified_marker not in text:
        return incident.verified_marker, render_verification(incident)
    return "", ""


def _template() -> str:
    try:
        return _TEMPLATE.read_text(encoding="utf-8")
    except OSError:
        return _FALLBACK


def _by_variant(instances: Mapping[str, str]) -> dict[str, int]:
    variants = list(instances.values())
    return {variant: variants.count(variant) for variant in sorted(set(variants))}


def _facts(summary: Mapping[str, Any]) -> str:
    took, wall = summary["breach_to_rollback_s"], summary["wall_s"]
    ended = summary["ended_at"]
    counts = ", ".join(f"{count} {name}" for name, count in summary["instances"].items())
    rows = [
        ("plan", f"{summary['plan']} {summary['plan_sha256'][:12]}"),
        ("started", utc(summary["started_at"])),
        ("ended", utc(ended) if ended else "not yet"),
        ("took" if ended else "took so far", "–" if wall is None else f"{wall:.0f} s"),
        ("instances", counts),
        ("audit", f"{'intact' if summary['audit_ok'] else 'BROKEN'}, head {summary['audit_head']}"),
    ]
    if summary["reason"]:
        rows.append(("reason", summary["reason"]))
    if took is not None:
        since = "breach" if summary["breached"] else "begun"
        rows.append((f"{since} to verified rollback", f"{took:.1f} s"))
    return table(("what", "value"), rows)


def _steps(state: MigrationState, events: Sequence[Event]) -> str:
    begun = _times(events, EventKind.STEP_STARTED)
    promoted = _times(events, EventKind.STEP_PROMOTED)
    names = [str(facts.get("name")) for facts in state.steps] or list(state.promoted)
    rows = [
        (name, "promoted", utc(promoted.get(name)))
        if name in state.promoted
        else (name, "begun, not promoted" if name in begun else "–", utc(begun.get(name)))
        for name in names
    ]
    return table(("step", "result", "at"), rows)


def _times(events: Sequence[Event], kind: EventKind) -> dict[object, float]:
    """Return when each step last had an event of `kind`, in unix seconds."""
    return {event.body.get("step"): event.at for event in events if event.kind == kind}


def _verdicts(events: Sequence[Event]) -> list[str]:
    return [
        f"### {cell(event.body.get('step'))}: {cell(event.body.get('decision'))}, {utc(event.at)}"
        f"\n\n{indicators(event.body)}"
        for event in events
        if event.kind == EventKind.VERDICT
    ]


def _approvals(events: Sequence[Event]) -> str:
    rows = [
        (utc(event.at), event.actor, describe(event))
        for event in events
        if event.kind == EventKind.APPROVAL
    ]
    return table(("at", "who", "what"), rows) if rows else ""
