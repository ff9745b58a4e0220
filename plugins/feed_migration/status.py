"""Where a migration is, for people (`render_status`) and machines (`status_of`). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from feed_migration.fleet.base import InstanceStatus
from feed_migration.lease import Lease
from feed_migration.markdown import number, utc
from feed_migration.model import Measurement
from feed_migration.phases import MigrationState, Status


def status_of(
    state: MigrationState,
    instances: Sequence[InstanceStatus],
    measurements: Sequence[Measurement] = (),
    lease: Lease | None = None,
) -> dict[str, Any]:
    """Return the state as JSON values; of each criterion the latest measurement of this run.

    `lease` is told while it counts: while a running migration has something exposed.
    """
    counts = lease is not None and state.status is Status.RUNNING and bool(state.exposed)
    latest = {measurement.criterion: measurement for measurement in measurements}
    return {
        "migration_id": state.migration_id or None,
        "status": str(state.status),
        "plan": state.plan_name or None,
        "phase": state.phase,
        "step": state.step,
        "run": state.run or None,
        "promoted": list(state.promoted),
        "steps": [str(facts.get("name")) for facts in state.steps],
        "reason": state.reason,
        "epoch": max(state.epoch, state.rollback_epoch),
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "exposed": list(state.exposed),
        "lease": _lease(lease) if lease is not None and counts else None,
        "ignored_events": list(state.ignored),
        "instances": [asdict(status) for status in instances],
        "criteria": [measurement.to_row() for measurement in latest.values()],
    }


def render_status(status: Mapping[str, Any]) -> str:
    """Return `status_of` as text: one fact a line, then a line per criterion and instance."""
    head = [
        ("migration", status["migration_id"] or "none yet"),
        ("status", str(status["status"]).replace("_", " ")),
        ("plan", status["plan"]),
        ("phase, step", ", ".join(filter(None, (status["phase"], status["step"])))),
        ("promoted", ", ".join(status["promoted"])),
        ("reason", status["reason"]),
        ("started", utc(status["started_at"]) if status["started_at"] is not None else ""),
        ("watched by", _watched(status["lease"])),
        ("ended", utc(status["ended_at"]) if status["ended_at"] is not None else ""),
    ]
    lines = [f"{name:<12} {value}" for name, value in head if value]
    lines += [""] * bool(status["criteria"])
    lines += [_criterion(row) for row in status["criteria"]]
    return "\n".join([*lines, "", *(_instance(row) for row in status["instances"])])


def _lease(lease: Lease) -> dict[str, Any]:
    return {"holder": lease.holder, "expires_at": lease.expires_at}


def _watched(lease: Mapping[str, Any] | None) -> str:
    return f"{lease['holder']}, until {utc(lease['expires_at'])}" if lease else ""


def _criterion(row: Mapping[str, Any]) -> str:
    value = number(row["value"])
    return f"{row['criterion']:<28} {row['outcome']:<12} {value:>12}  {row['threshold']}"


def _instance(row: Mapping[str, Any]) -> str:
    state = "ready" if row["ready"] else f"not ready: {', '.join(row['reasons'])}"
    return f"{row['id']:<12} {row['variant']:<8} {row['messages']:>10} messages  {state}"
