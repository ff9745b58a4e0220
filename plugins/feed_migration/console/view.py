"""What the console shows of a migration: the track of its steps, why it waits, what may be done.
Pure: values of the journal and of Airflow in, JSON values out. Times are unix seconds, so that a
view changes only when something happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from feed_migration.console.offers import offers
from feed_migration.lease import HANDOVER_SECONDS, Lease, ended_dag, person_asked
from feed_migration.phases import MigrationState, Status, is_proven, needs_lease
from feed_migration.words import act_words, step_words

_EXPOSING = frozenset({"cutover", "stabilisation", "post_migration"})
_BACK = frozenset({Status.ROLLING_BACK, Status.ROLLED_BACK})


@dataclass(frozen=True, kw_only=True)
class PendingApproval:
    """A human-in-the-loop task of Airflow that nobody has answered; `asked_at` in unix seconds."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    subject: str
    body: str
    asked_at: float


@dataclass(frozen=True, kw_only=True)
class GateRunFacts:
    """A run of a gate as the journal's `step_started` tells it.

    `key` is `dag_id/run_id#clears` of the DAG run that watches.
    """

    step: str
    run: str
    key: str
    started_unix: float

    @property
    def dag_id(self) -> str:
        """The DAG whose task the gate is."""
        return self.key.partition("/")[0]

    @property
    def run_id(self) -> str:
        """The DAG run whose task the gate is."""
        return self.key.partition("/")[2].rpartition("#")[0]


def migration_view(
    state: MigrationState,
    *,
    lease: Lease | None,
    approvals: Sequence[PendingApproval],
    gate: GateRunFacts | None,
    evidence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the migration with its track; `gate` is the run of the step that it is at.

    `evidence` is what speaks for the next step, {line, rows}.
    """
    waiting = {step_of(state, approval): approval for approval in approvals}
    return {
        "id": state.migration_id or None,
        "status": str(state.status),
        "plan": state.plan_name or None,
        "phase": state.phase,
        "step": state.step,
        "epoch": max(state.epoch, state.rollback_epoch),
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "exposed": len(state.exposed),
        "why": _why(state, waiting, lease, gate),
        "steps": [_step(state, facts, waiting) for facts in state.steps],
        "lease": _lease(state, lease),
        "approvals": [
            {**_approval(step, asked, lease), "evidence": evidence}
            for step, asked in waiting.items()
        ],
        "acts": offers(
            state, [*waiting], gate_key=gate.key if gate else "", gate_open=_is_open(state, gate)
        ),
    }


def step_of(state: MigrationState, approval: PendingApproval) -> str:
    """Return the step that an approval is for: task groups are steps with `_` for `-`."""
    group = approval.task_id.partition(".")[0]
    names = (str(facts.get("name")) for facts in state.steps)
    return next((name for name in names if name.replace("-", "_") == group), group)


def _step(
    state: MigrationState, facts: Mapping[str, Any], waiting: Mapping[str, PendingApproval]
) -> dict[str, Any]:
    name = str(facts.get("name"))
    return {
        "name": name,
        "phase": str(facts.get("phase") or ""),
        "percent": facts.get("percent"),
        "gated": bool(facts.get("gated")),
        "approval": bool(facts.get("approval")),
        "state": _step_state(state, name, str(facts.get("phase")), waiting),
    }


def _step_state(
    state: MigrationState, name: str, phase: str, waiting: Mapping[str, PendingApproval]
) -> str:
    begun = name in dict(state.runs) or name in state.promoted or name == state.step
    if state.status in _BACK and begun and (phase in _EXPOSING or name not in state.promoted):
        return "going_back" if state.status is Status.ROLLING_BACK else "rolled_back"
    if state.status is Status.HELD and name == (state.held_step or state.step):
        return "held"
    if name in state.promoted or state.status is Status.PROMOTED:
        return "done"
    if state.status is Status.RUNNING and name in waiting:
        return "waiting"
    return "running" if state.status is Status.RUNNING and name == _current(state) else "pending"


def _current(state: MigrationState) -> str | None:
    """Return the step that is worked on: the one begun last, or what comes after it."""
    if state.step is not None and state.step not in state.promoted:
        return state.step
    names = [str(facts.get("name")) for facts in state.steps]
    return next((name for name in names if name not in state.promoted), None)


def _why(
    state: MigrationState,
    waiting: Mapping[str, PendingApproval],
    lease: Lease | None,
    gate: GateRunFacts | None,
) -> str:
    """Return in one line where the migration stands and what it waits for."""
    told = {
        Status.ABSENT: "No migration has begun: trigger the DAG backpack_migration.",
        Status.HELD: f"Held at {step_words(state.held_step or state.step)}: {state.reason}",
        Status.ROLLING_BACK: f"Going back to ccxt: {state.reason}",
        Status.ROLLED_BACK: f"Back on ccxt: {state.reason}",
        Status.PROMOTED: "Done: the fleet is on the native feed. The report is ready, see above.",
    }
    return told.get(state.status) or _why_running(state, waiting, lease, gate)


def _why_running(
    state: MigrationState,
    waiting: Mapping[str, PendingApproval],
    lease: Lease | None,
    gate: GateRunFacts | None,
) -> str:
    step = step_words(_current(state))
    if waiting:
        return f"Waits for a person to approve {', '.join(map(step_words, waiting))}."
    if answered := _answered(state, step, lease):
        return answered
    if lease is not None and (over := ended_dag(lease)):
        done = step_words(over.removeprefix("backpack_"))
        return f"{done} is done; {step} waits for a person to start its DAG."
    if state.pending_act is not None:
        return f"{step}: {act_words(state.pending_act)}."
    if _is_open(state, gate):
        return f"The gate of {step} watches until it has proof."
    return f"{step or 'The next step'} is under way."


def _answered(state: MigrationState, step: str, lease: Lease | None) -> str:
    """Return what becomes of an answer of which the step has seen nothing yet, or nothing."""
    if state.denial is not None:
        return f"Not approved, the fleet goes back to ccxt: {state.denial.text}."
    asked = "" if lease is None else person_asked(lease)
    if asked in {"", *state.approved, *state.promoted}:
        return ""
    # nobody is asked any more, and the journal has no answer yet
    return f"{step}: its answer is being taken in."


def _is_open(state: MigrationState, gate: GateRunFacts | None) -> bool:
    """Whether the gate of the current step watches, and has no verdict yet."""
    if gate is None or gate.step != state.step or state.last_verdict is not None:
        return False
    return state.status is Status.RUNNING and state.step not in state.promoted


def _lease(state: MigrationState, lease: Lease | None) -> dict[str, Any] | None:
    """A lease counts while something is exposed; what is proven stays without one."""
    if lease is None or state.status is not Status.RUNNING or is_proven(state):
        return None
    return {
        "holder": lease.holder,
        "renewed_at": lease.renewed_at,
        "expires_at": lease.expires_at,
        "counts": needs_lease(state),
    }


def _approval(step: str, approval: PendingApproval, lease: Lease | None) -> dict[str, Any]:
    asked_for_it = lease is not None and lease.holder == f"approval {step}"
    until = lease.expires_at - HANDOVER_SECONDS if lease and asked_for_it else None
    return {**asdict(approval), "step": step, "until": until}
