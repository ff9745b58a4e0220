"""What the console shows of a migration: the track of its steps, why it waits, what may be done.
Pure: values of the journal and of Airflow in, JSON values out. Times are unix seconds, so that a
view changes only when something happens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from feed_migration.console.offers import answer_effects, offers
from feed_migration.dag_run import OVER, Driver, EndedRun, left_behind
from feed_migration.lease import HANDOVER_SECONDS, Lease, ended_dag, person_asked
from feed_migration.model import Approver
from feed_migration.next_phase import start_awaited_since
from feed_migration.phases import MigrationState, Status, is_proven, needs_lease
from feed_migration.words import act_words, step_words

_EXPOSING = frozenset({"cutover", "stabilisation", "post_migration"})
_BACK = frozenset({Status.ROLLING_BACK, Status.ROLLED_BACK})


@dataclass(frozen=True, kw_only=True)
class PendingApproval:
    """A human-in-the-loop task of Airflow that nobody has answered; `asked_at` in unix seconds.

    `may_answer` are those who alone may, empty where that is whoever may act in Airflow.
    `is_feedback` marks the question to a consumer of the feed: no step begins with its answer.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    subject: str
    body: str
    asked_at: float
    may_answer: Sequence[Approver] = ()
    is_feedback: bool = False


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
    driver: Driver | None = None,
    run_state: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the migration with its track; `gate` is the run of the step that it is at.

    `driver` is the DAG run that joined it last, `run_state` how Airflow calls that run now, or the
    run of the gate that is held; "" where it does not know.
    `approvals` are the questions of the DAG run that drives it, those for feedback among them:
    Airflow takes these. `evidence` is what speaks for the next step, {line, rows}.
    """
    feedback = [_consumer(asked) for asked in approvals if asked.is_feedback]
    waiting = {step_of(state, asked): asked for asked in approvals if not asked.is_feedback}
    wait = _questions(waiting, feedback) or _answered(state, lease)
    wait = wait or _run_over(state, lease, driver, run_state)
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
        "why": _why(state, wait, gate),
        "steps": [_step(state, facts, waiting) for facts in state.steps],
        "lease": _lease(state, lease),
        "approvals": [
            {
                **_approval(step, asked, lease),
                "evidence": evidence,
                "effects": answer_effects(state, step),
            }
            for step, asked in waiting.items()
        ],
        "acts": offers(
            state,
            [*waiting],
            gate_key=gate.key if gate else "",
            gate_open=_is_open(state, gate),
            run_ends=run_state not in {"", *OVER},
        ),
    }


def step_of(state: MigrationState, approval: PendingApproval) -> str:
    """Return the step that an approval is for: task groups are steps with `_` for `-`."""
    group = approval.task_id.partition(".")[0]
    names = (str(facts.get("name")) for facts in state.steps)
    return next((name for name in names if name.replace("-", "_") == group), group)


def _consumer(asked: PendingApproval) -> str:
    return asked.task_id.rpartition(".")[2].removeprefix("feedback_")


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


def _why(state: MigrationState, wait: str, gate: GateRunFacts | None) -> str:
    """Return in one line where the migration stands and what it waits for."""
    told = {
        Status.ABSENT: "No migration has begun: trigger the DAG backpack_migration.",
        Status.HELD: f"Held at {step_words(state.held_step or state.step)}: {state.reason}",
        Status.ROLLING_BACK: f"Going back to ccxt: {state.reason}",
        Status.ROLLED_BACK: f"Back on ccxt: {state.reason}",
        Status.PROMOTED: "Done: the fleet is on the native feed. The report is ready, see above.",
    }
    return told.get(state.status) or wait or _under_way(state, gate)


def _under_way(state: MigrationState, gate: GateRunFacts | None) -> str:
    step = step_words(_current(state))
    if state.pending_act is not None:
        return f"{step}: {act_words(state.pending_act)}."
    if _is_open(state, gate):
        return f"The gate of {step} watches until it has proof."
    return f"{step or 'The next step'} is under way."


def _questions(waiting: Mapping[str, PendingApproval], feedback: Sequence[str]) -> str:
    """Return who is asked for what, "" where nobody is."""
    if waiting:
        asked = ", ".join(_asked(step, approval) for step, approval in waiting.items())
        return f"Waits for a person to approve {asked}."
    names = ", ".join(feedback)
    told = f"Asks {names} for feedback: they give it in Airflow, under Required Actions."
    return told if names else ""


def _asked(step: str, approval: PendingApproval) -> str:
    names = " or ".join(one.name for one in approval.may_answer)
    return f"{step_words(step)} (may answer: {names})" if names else step_words(step)


def _answered(state: MigrationState, lease: Lease | None) -> str:
    """Return what becomes of an answer of which the step has seen nothing yet, or nothing."""
    if state.denial is not None:
        return f"Not approved, the fleet goes back to ccxt: {state.denial.text}."
    asked = "" if lease is None else person_asked(lease)
    if asked in {"", *state.approved, *state.promoted}:
        return ""
    # nobody is asked any more, and the journal has no answer yet
    return f"{step_words(_current(state))}: its answer is being taken in."


def _run_over(
    state: MigrationState, lease: Lease | None, driver: Driver | None, run_state: str
) -> str:
    """Return what is to follow the DAG run that is over, "" while one goes on."""
    if driver is None:
        return ""
    step, over = step_words(_current(state)), "" if lease is None else ended_dag(lease)
    if start_awaited_since(state, lease, driver.dag_id) is None:
        if run_state in OVER:
            left = left_behind(state, EndedRun(run=driver, state=run_state))
            return f"{left[0].upper()}{left[1:]}."
        is_over = f"{over} is over, and {step or 'the migration'} is not done: its run says why."
        return is_over if over == driver.dag_id else ""
    done = step_words(over.removeprefix("backpack_"))
    return f"{done} is done; {step} waits for a person to start its DAG."


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
