"""Where a migration is, for people (`render_status`) and machines (`status_of`). Pure."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from feed_migration.cli.situation import Situation, next_of, wait_of
from feed_migration.guard.answer import GuardAnswer
from feed_migration.lease import Lease
from feed_migration.markdown import number, utc


def status_of(situation: Situation) -> dict[str, Any]:
    """Return the situation as JSON values; of each criterion the latest measurement of this run."""
    state, lease, wait = situation.state, situation.watching_lease, wait_of(situation)
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
        "waits_for": {
            "kind": str(wait.kind),
            "text": wait.text,
            "until": wait.until_unix,
            "may_answer": list(wait.may_answer),
        },
        "gate": _gate(situation),
        "epoch": max(state.epoch, state.rollback_epoch),
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "exposed": list(state.exposed),
        "lease": _lease(lease) if lease is not None else None,
        "guard": _guard(situation.guard) if situation.guard is not None else None,
        "ignored_events": list(state.ignored),
        "ignored_count": state.ignored_count,
        "instances": [asdict(status) for status in situation.instances],
        "criteria": [measurement.to_row() for measurement in situation.newest],
        "next": next_of(situation),
    }


def render_status(status: Mapping[str, Any]) -> str:
    """Return `status_of` as text: one fact a line, then a line per criterion and instance."""
    waits = status["waits_for"]["text"]
    head = [
        ("migration", status["migration_id"] or "none yet"),
        ("status", str(status["status"]).replace("_", " ")),
        ("plan", status["plan"]),
        ("phase, step", ", ".join(filter(None, (status["phase"], status["step"])))),
        ("promoted", ", ".join(status["promoted"])),
        ("waits for", waits),
        # what waits for a person, or goes back, says why already
        ("reason", "" if status["reason"] in waits else status["reason"]),
        ("started", utc(status["started_at"]) if status["started_at"] is not None else ""),
        ("watched by", _watched(status["lease"])),
        ("guard", status["guard"]["text"] if status["guard"] else ""),
        ("ended", utc(status["ended_at"]) if status["ended_at"] is not None else ""),
    ]
    lines = [f"{name:<12} {value}" for name, value in head if value]
    lines += [""] * bool(status["criteria"])
    lines += [_criterion(row) for row in status["criteria"]]
    lines += ["", *(_instance(row) for row in status["instances"]), ""]
    lines += [f"next: {command}" for command in status["next"]]
    return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    """Return `text` in as many characters, none of which moves a cursor or changes a colour."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "·" for c in text)


def _gate(situation: Situation) -> dict[str, Any] | None:
    """The open gate; its bounds are None where the plan that the migration began with is away."""
    start, gate = situation.gate_start, situation.gate
    if start is None:
        return None
    return {
        "step": start.step,
        "run": start.run,
        "started_at": start.started_unix,
        "elapsed_seconds": situation.gate_elapsed_seconds,
        "min_duration_seconds": gate.min_duration_seconds if gate else None,
        "max_duration_seconds": gate.max_duration_seconds if gate else None,
    }


def _lease(lease: Lease) -> dict[str, Any]:
    return {"holder": lease.holder, "expires_at": lease.expires_at}


def _guard(answer: GuardAnswer) -> dict[str, Any]:
    return {"state": str(answer.state), "text": answer.text}


def _watched(lease: Mapping[str, Any] | None) -> str:
    return f"{lease['holder']}, until {utc(lease['expires_at'])}" if lease else ""


def _criterion(row: Mapping[str, Any]) -> str:
    value = number(row["value"])
    return f"{row['criterion']:<28} {row['outcome']:<12} {value:>12}  {row['threshold']}"


def _instance(row: Mapping[str, Any]) -> str:
    state = "ready" if row["ready"] else f"not ready: {', '.join(row['reasons'])}"
    return f"{row['id']:<12} {row['variant']:<8} {row['messages']:>10} messages  {state}"
