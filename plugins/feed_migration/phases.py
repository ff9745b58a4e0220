"""Where a migration is: the transition table, and the fold of its events into a state. Pure.

The journal is the authority, so the fold never fails on what is written there: an event that the
table does not allow, a promotion without proof, or a step other than the held one, changes nothing
and is counted as ignored. A body of odd types counts as one without these facts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from feed_migration.denial import Denial, denial_of
from feed_migration.events import (
    Event,
    EventKind,
    body_epoch,
    body_mapping,
    body_mappings,
    body_names,
    body_number,
)
from feed_migration.model import Decision


class Status(StrEnum):
    """Status of a migration. From each of them a rollback can start."""

    ABSENT = "absent"
    RUNNING = "running"
    HELD = "held"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    PROMOTED = "promoted"

    @property
    def active(self) -> bool:
        """Whether the migration holds the deployment, so that no other may start."""
        return self in {Status.RUNNING, Status.HELD, Status.ROLLING_BACK}


# Facts that are true whenever they are said
_ANYWHERE = (
    EventKind.VERDICT,
    EventKind.APPROVAL,
    EventKind.INCIDENT_DOCUMENTED,
    EventKind.AUDIT_NOTE,
)
# Of these the fold takes nothing
WITHOUT_EFFECT = frozenset({EventKind.INCIDENT_DOCUMENTED, EventKind.AUDIT_NOTE})
# Of the events that change nothing; what writes them may go on for days
IGNORED_SHOWN = 20
_STARTED = (
    Status.RUNNING,
    Status.HELD,
    Status.ROLLING_BACK,
    Status.ROLLED_BACK,
    Status.PROMOTED,
)

TRANSITIONS: Mapping[tuple[Status, EventKind], Status] = {
    (Status.ABSENT, EventKind.MIGRATION_STARTED): Status.RUNNING,
    (Status.RUNNING, EventKind.STEP_STARTED): Status.RUNNING,
    (Status.RUNNING, EventKind.ACT_INTENDED): Status.RUNNING,
    (Status.RUNNING, EventKind.ACT_CONFIRMED): Status.RUNNING,
    (Status.RUNNING, EventKind.STEP_PROMOTED): Status.RUNNING,
    (Status.RUNNING, EventKind.HELD): Status.HELD,
    (Status.RUNNING, EventKind.MIGRATION_FINISHED): Status.PROMOTED,
    # after a hold a person starts the gate again, promotes with a reason, or rolls back
    (Status.HELD, EventKind.STEP_STARTED): Status.RUNNING,
    (Status.HELD, EventKind.STEP_PROMOTED): Status.RUNNING,
    (Status.HELD, EventKind.HELD): Status.HELD,
    (Status.HELD, EventKind.ACT_CONFIRMED): Status.HELD,
    (Status.HELD, EventKind.MIGRATION_FINISHED): Status.HELD,
    (Status.ROLLING_BACK, EventKind.ROLLBACK_ACT): Status.ROLLING_BACK,
    (Status.ROLLING_BACK, EventKind.ROLLBACK_VERIFIED): Status.ROLLED_BACK,
    (Status.ROLLED_BACK, EventKind.ROLLBACK_VERIFIED): Status.ROLLED_BACK,
    (Status.ROLLED_BACK, EventKind.MIGRATION_FINISHED): Status.ROLLED_BACK,
    **{(status, EventKind.ROLLBACK_STARTED): Status.ROLLING_BACK for status in _STARTED},
    **{(status, kind): status for status in _STARTED for kind in _ANYWHERE},
}


@dataclass(frozen=True, kw_only=True)
class MigrationState:
    """A migration as its events tell it.

    `proven` holds the steps whose current run has a Promote, by the gate or by a person with a
    reason; `judged` those whose current run has ended with a verdict; `moved` those whose act is
    confirmed, and not taken back; `exposed` the instances that may be on native: intended counts,
    until ccxt is confirmed. `fleet` is the one that the migration began with (`fleet.known`).
    `epoch` fences the forward acts; a rollback took `rollback_epoch`. Times are unix seconds.
    `held_step` is the step of the last hold; only it goes on from there. `denial` is the No that
    the last question got, until work goes on or another answer comes.
    `ignored` are the last `IGNORED_SHOWN` events that changed nothing, of `ignored_count` in all.
    """

    migration_id: str = ""
    status: Status = Status.ABSENT
    plan_name: str = ""
    plan_sha256: str = ""
    run_key: str = ""
    epoch: int = 0
    rollback_epoch: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    step: str | None = None
    phase: str | None = None
    held_step: str = ""
    run: str = ""
    runs: tuple[tuple[str, str], ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    fleet: Mapping[str, Any] = field(default_factory=dict)
    promoted: tuple[str, ...] = ()
    proven: frozenset[str] = frozenset()
    judged: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()
    denial: Denial | None = None
    moved: frozenset[str] = frozenset()
    exposed: tuple[str, ...] = ()
    pending_act: Mapping[str, Any] | None = None
    last_verdict: Mapping[str, Any] | None = None
    breach_at: float | None = None
    breached: bool = False
    reason: str = ""
    ignored: tuple[int, ...] = ()
    ignored_count: int = 0

    @property
    def held_at(self) -> str:
        """The step that is held now, "" while none is."""
        return (self.held_step or self.step or "") if self.status is Status.HELD else ""

    def step_facts(self, name: str) -> Mapping[str, Any]:
        """Return what `migration_started` recorded of a step, empty when it recorded no steps."""
        return next((facts for facts in self.steps if facts.get("name") == name), {})


def transition(status: Status, kind: str) -> Status | None:
    """Return the status after an event of `kind`; None where it is not allowed."""
    try:
        return TRANSITIONS.get((status, EventKind(kind)))
    except ValueError:
        return None


def fold(events: Iterable[Event], state: MigrationState | None = None) -> MigrationState:
    """Return the state after `events` (of one migration, in order)."""
    state = state or MigrationState()
    for event in events:
        state = apply(state, event)
    return state


def apply(state: MigrationState, event: Event) -> MigrationState:
    """Return the state after one more event."""
    status = transition(state.status, event.kind)
    # what may have been exposed stays exposed, whether or not it was allowed
    if status is None or _unproven(state, event) or _passes_hold(state, event):
        return _ignoring(_exposure(state, event), event)
    effect = _EFFECTS.get(EventKind(event.kind))
    after = _exposure(effect(state, event) if effect else state, event)
    # of a long journal most events change no status, and a copy of the state costs the most
    return after if after.status is status else replace(after, status=status)


def _ignoring(state: MigrationState, event: Event) -> MigrationState:
    latest = (*state.ignored, event.seq)[-IGNORED_SHOWN:]
    return replace(state, ignored=latest, ignored_count=state.ignored_count + 1)


def promotion_refusal(state: MigrationState, step: str) -> str:
    """Return why `step` must not be promoted now, "" where it may."""
    if transition(state.status, EventKind.STEP_PROMOTED) is None:
        return f"the migration is {state.status}"
    facts = state.step_facts(step)
    if state.steps and not facts:
        return f"the plan has no step {step}"
    missing = _earlier(state, step) - set(state.promoted)
    if missing:
        return f"earlier steps are not promoted: {', '.join(sorted(missing))}"
    if facts.get("gated") and step not in state.proven:
        return f"the gate of {step} gave no Promote"
    return _hold_refusal(state, step)


def is_proven(state: MigrationState) -> bool:
    """Whether every step that proves anything is promoted: what is left is a report."""
    needed = {str(facts.get("name")) for facts in state.steps if _proves(facts)}
    return bool(needed) and needed <= set(state.promoted)


def needs_lease(state: MigrationState) -> bool:
    """Whether the fleet goes back once nobody renews the lease: a proven one stays all the same."""
    return state.status is Status.RUNNING and bool(state.exposed) and not is_proven(state)


def _proves(facts: Mapping[str, Any]) -> bool:
    return facts.get("phase") != "post_migration"


def _hold_refusal(state: MigrationState, step: str) -> str:
    if _is_held_elsewhere(state, step):
        return f"the migration is held at {state.held_step}"
    if state.status is Status.HELD and step not in state.proven:
        return f"{step} is held and nobody promoted it with a reason"
    return ""


def _unproven(state: MigrationState, event: Event) -> bool:
    """Whether the event claims a success that the journal does not bear out."""
    if event.kind == EventKind.STEP_PROMOTED:
        return bool(promotion_refusal(state, str(event.body.get("step", ""))))
    if event.kind == EventKind.MIGRATION_FINISHED and state.status is Status.RUNNING:
        missing = {str(facts.get("name")) for facts in state.steps} - set(state.promoted)
        return bool(missing) or event.body.get("outcome", "promoted") != "promoted"
    if event.kind == EventKind.ROLLBACK_VERIFIED:
        # who looked at a fleet without an exposed instance has not seen that one come back
        seen = {*body_names(event.body), *body_names(event.body, "gone")}
        return bool(seen) and not seen.issuperset(state.exposed)
    return False


def _passes_hold(state: MigrationState, event: Event) -> bool:
    """Whether the event would take a held migration on at another step than the held one."""
    step = str(event.body.get("step", ""))
    return event.kind == EventKind.STEP_STARTED and _is_held_elsewhere(state, step)


def _is_held_elsewhere(state: MigrationState, step: str) -> bool:
    return state.status is Status.HELD and state.held_step not in {"", step}


def _earlier(state: MigrationState, step: str) -> set[str]:
    names = [str(facts.get("name")) for facts in state.steps]
    return set(names[: names.index(step)]) if step in names else set()


def _migration_started(state: MigrationState, event: Event) -> MigrationState:
    body = event.body
    return replace(
        state,
        migration_id=event.migration_id,
        plan_name=str(body.get("plan", "")),
        plan_sha256=str(body.get("plan_sha256", "")),
        run_key=str(body.get("run_key", "")),
        epoch=body_epoch(body),
        steps=body_mappings(body, "steps"),
        fleet=body_mapping(body, "fleet"),
        started_at=event.at,
    )


def _step_started(state: MigrationState, event: Event) -> MigrationState:
    step, run = str(event.body.get("step", "")), str(event.body.get("run", "1"))
    runs = dict(state.runs)
    again = runs.get(step) not in {None, run}
    runs[step] = run
    # another run of a gate proves anew; the same run told twice (a retry) changes nothing
    return replace(
        state,
        step=step,
        phase=str(event.body.get("phase") or state.step_facts(step).get("phase") or "") or None,
        run=run,
        ended_at=None,
        denial=None,
        runs=tuple(runs.items()),
        proven=state.proven - {step} if again else state.proven,
        judged=state.judged - {step} if again else state.judged,
        promoted=tuple(name for name in state.promoted if not (again and name == step)),
        last_verdict=None if again or step != state.step else state.last_verdict,
    )


def _verdict(state: MigrationState, event: Event) -> MigrationState:
    step, decision = str(event.body.get("step", "")), event.body.get("decision")
    current = dict(state.runs).get(step, "1")
    if str(event.body.get("run", current)) != current:
        return state
    if step in state.judged and decision != Decision.ROLLBACK:
        # the first verdict of a run stands: what was held does not promote by a later word
        return state
    judged = state.judged if decision == Decision.RUNNING else state.judged | {step}
    state = replace(state, last_verdict=dict(event.body), judged=judged)
    if decision == Decision.PROMOTE:
        return replace(state, proven=state.proven | {step})
    if decision == Decision.ROLLBACK and state.breach_at is None:
        at = body_number(event.body, "breach_at") or event.at
        state = replace(state, breach_at=at, breached=True)
    return replace(state, proven=state.proven - {step})


def _approval(state: MigrationState, event: Event) -> MigrationState:
    step, decision = str(event.body.get("step", "")), event.body.get("decision")
    state = replace(state, denial=denial_of(event))
    if decision == "Promote" and event.body.get("reason"):
        return replace(state, proven=state.proven | {step})
    approved = state.approved | {step} if decision == "Approve" else state.approved - {step}
    return replace(state, approved=approved)


def _act_intended(state: MigrationState, event: Event) -> MigrationState:
    step = str(event.body.get("step") or state.step or "") or None
    phase = state.step_facts(step or "").get("phase")
    return replace(
        state,
        pending_act=dict(event.body),
        step=step,
        phase=str(phase) if phase else state.phase,
        run=dict(state.runs).get(step or "", ""),
    )


def _act_confirmed(state: MigrationState, event: Event) -> MigrationState:
    moved = state.moved
    if event.body.get("act") in ("start_shadow", "set_variant"):
        moved |= {str(event.body.get("step", ""))}
    return replace(state, pending_act=None, moved=moved)


def _step_promoted(state: MigrationState, event: Event) -> MigrationState:
    step = str(event.body.get("step", ""))
    promoted = state.promoted if step in state.promoted else (*state.promoted, step)
    return replace(state, promoted=promoted, reason="")


def _held(state: MigrationState, event: Event) -> MigrationState:
    step = str(event.body.get("step") or state.step or "")
    return replace(state, reason=str(event.body.get("reason", "")), held_step=step)


def _rollback_started(state: MigrationState, event: Event) -> MigrationState:
    breach = (
        state.breach_at if state.breach_at is not None else body_number(event.body, "breach_at")
    )
    return replace(
        state,
        moved=frozenset(),
        rollback_epoch=max(state.rollback_epoch, body_epoch(event.body)),
        breach_at=breach if breach is not None else event.at,
        reason=str(event.body.get("reason", "")),
        ended_at=None,
    )


def _ended(state: MigrationState, event: Event) -> MigrationState:
    # a verified rollback ended when it was verified, not when somebody closed the books
    ended_at = event.at if state.ended_at is None else state.ended_at
    return replace(state, ended_at=ended_at, pending_act=None)


def _rolled_back(state: MigrationState, event: Event) -> MigrationState:
    return replace(_ended(state, event), exposed=())


_EFFECTS = {
    EventKind.MIGRATION_STARTED: _migration_started,
    EventKind.STEP_STARTED: _step_started,
    EventKind.VERDICT: _verdict,
    EventKind.APPROVAL: _approval,
    EventKind.ACT_INTENDED: _act_intended,
    EventKind.ACT_CONFIRMED: _act_confirmed,
    EventKind.STEP_PROMOTED: _step_promoted,
    EventKind.HELD: _held,
    EventKind.ROLLBACK_STARTED: _rollback_started,
    EventKind.ROLLBACK_VERIFIED: _rolled_back,
    EventKind.MIGRATION_FINISHED: _ended,
}


def _exposure(state: MigrationState, event: Event) -> MigrationState:
    """Follow which instances may be on native."""
    acts = {EventKind.ACT_INTENDED, EventKind.ACT_CONFIRMED}
    if event.kind not in acts or event.body.get("variant") != "native":
        return state
    known = frozenset(state.exposed)
    fresh = tuple(name for name in body_names(event.body) if name not in known)
    return replace(state, exposed=state.exposed + fresh) if fresh else state
