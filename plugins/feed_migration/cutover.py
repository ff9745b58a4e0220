"""One forward step: intent → act → confirm, only behind the Promote of every earlier step.

Whatever kills it, calling it again with the same step ends in the state after the step: the fleet's
acts converge, and the journal tells an intent that was never confirmed from one that was.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feed_migration.errors import (
    ApprovalMissing,
    GateNotPassed,
    MigrationNotRunning,
    PlanChanged,
)
from feed_migration.events import Event, EventKind
from feed_migration.fleet.base import Fleet, InstanceStatus
from feed_migration.journal.store import Journal
from feed_migration.lease import HANDOVER_SECONDS, act_seconds
from feed_migration.model import Plan, Step
from feed_migration.phases import MigrationState, Status, fold, promotion_refusal


@dataclass(frozen=True, kw_only=True)
class CutoverResult:
    """What a step did. `instances` are on native and ready (shadow: run beside the fleet)."""

    step: str
    acts: tuple[str, ...]
    instances: tuple[str, ...]


def advance(  # noqa: PLR0917 - the fixed interface
    step: Step, plan: Plan, fleet: Fleet, journal: Journal, migration_id: str, actor: str
) -> CutoverResult:
    """Make the fleet what `step` says, and wait until it is ready.

    Shadow steps start the shadow instances; the first step after them stops these; cutover steps
    put the first ⌈percent⌉ of the fleet, in deployment order, on native; others act on nothing.
    Raises GateNotPassed, ApprovalMissing, PlanChanged, MigrationNotRunning, StaleEpoch, NotReady.
    """
    state = journal.state(migration_id)
    require_open(step, plan, state)
    _require_no_other_native(fleet, state)
    acts = _acts(step, fleet)
    for act in acts:
        _perform(act, step, fleet, journal, state=state, actor=actor)
    named = next((act["instances"] for act in reversed(acts) if act["instances"]), ())
    return CutoverResult(
        step=step.name, acts=tuple(str(act["act"]) for act in acts), instances=tuple(named)
    )


def promote(
    step: Step, plan: Plan, journal: Journal, migration_id: str, actor: str
) -> MigrationState:
    """Record that `step` is proven good; raises `GateNotPassed` unless the journal bears it out.

    Proof is a Promote verdict of the gate's current run, or a person's `approval` with decision
    Promote and a reason; a step without a gate needs none. Told twice, it is recorded once.
    """
    state = journal.state(migration_id)
    require_plan(plan, state)
    if step.name in state.promoted:
        return state
    refusal = promotion_refusal(state, step.name)
    if not refusal and step.gate is not None and step.name not in state.proven:
        refusal = f"the gate of {step.name} gave no Promote"
    if refusal:
        raise GateNotPassed(
            f"{step.name} is not promoted: {refusal}",
            "run its gate again, or promote it with a recorded reason",
        )
    # the next step renews it; before the promotion, which ends the gate's own renewals
    journal.renew_lease(migration_id, holder=f"handover {step.name}", seconds=HANDOVER_SECONDS)
    kind = EventKind.STEP_PROMOTED
    journal.append(kind, migration_id=migration_id, actor=actor, body={"step": step.name})
    return journal.state(migration_id)


def require_open(step: Step, plan: Plan, state: MigrationState) -> None:
    """Raise unless `step` may act now; pure, see `advance` for what it raises."""
    require_plan(plan, state)
    if state.status is not Status.RUNNING:
        raise MigrationNotRunning(
            f"migration {state.migration_id or '?'} is {state.status}, so {step.name} cannot act",
            "start a new migration, or restart the held gate",
        )
    for earlier in _before(step, plan):
        proven = earlier.gate is None or earlier.name in state.proven
        if earlier.name not in state.promoted or not proven:
            raise GateNotPassed(
                f"{step.name} needs the Promote of {earlier.name}, which the journal does not have",
                f"run {earlier.name}, or promote it with a recorded reason",
            )
    if step.approval and not {step.name} & (state.approved | state.proven):
        raise ApprovalMissing(
            f"{step.name} waits for a person",
            "approve it in Airflow or by `backpack-migrate approve`",
        )


def require_moved(step: Step, state: MigrationState) -> None:
    """Raise GateNotPassed unless the act that `step` judges is confirmed; pure."""
    if step.phase in {"shadow", "cutover"} and step.name not in state.moved:
        did = "no shadow was started" if step.phase == "shadow" else "the fleet was never moved"
        raise GateNotPassed(
            f"{step.name} cannot be watched, {did}: the journal has no act_confirmed of it",
            "clear the task before the gate together with the gate, or run the phase again",
        )


def _require_no_other_native(fleet: Fleet, state: MigrationState) -> None:
    """An instance that somebody moved by hand (a partition, a file) is exposed without a proof."""
    natives = (status.id for status in fleet.instances() if status.variant == "native")
    strange = sorted(set(natives) - set(state.exposed))
    if strange:
        raise GateNotPassed(
            f"{', '.join(strange)} on native although no step put them there",
            "find who moved them (kubectl, an edited file) and run backpack_rollback",
        )


def ramp(percent: int, instances: Sequence[str]) -> tuple[str, ...]:
    """Return the first ⌈percent⌉ of `instances`, so that a later step contains an earlier one."""
    return tuple(instances[: math.ceil(len(instances) * percent / 100)])


def expected_instances(step: Step, *, fleet: int, shadows: int) -> int:
    """Return how many native instances `expect_series: fleet` means at `step`."""
    if step.phase == "shadow":
        return shadows
    return math.ceil(fleet * (step.percent or 100) / 100)


def require_plan(plan: Plan, state: MigrationState) -> None:
    """Raise PlanChanged unless `plan` is the one that the migration began with; pure."""
    if state.status is not Status.ABSENT and plan.sha256 != state.plan_sha256:
        raise PlanChanged(
            f"plan {plan.name} changed since migration {state.migration_id} began "
            f"({state.plan_sha256[:12]} → {plan.sha256[:12]})",
            "restore the plan, or roll back and start a new migration",
        )


def _before(step: Step, plan: Plan) -> tuple[Step, ...]:
    return plan.steps[: plan.steps.index(plan.step(step.name))]


def _acts(step: Step, fleet: Fleet) -> list[dict[str, Any]]:
    """Return what is left to do for `step`, in order."""
    if step.phase == "shadow":
        names = _ids(fleet.shadow_instances())
        return [{"act": "start_shadow", "variant": "both", "instances": names}]
    acts: list[dict[str, Any]] = []
    if step.phase != "dry_run" and any(shadow.pid for shadow in fleet.shadow_instances()):
        acts.append({"act": "stop_shadow", "variant": "", "instances": []})
    if step.phase == "cutover" and step.percent is not None:
        names = list(ramp(step.percent, _ids(fleet.instances())))
        acts.append({"act": "set_variant", "variant": "native", "instances": names})
    return acts


def _perform(
    act: Mapping[str, Any],
    step: Step,
    fleet: Fleet,
    journal: Journal,
    *,
    state: MigrationState,
    actor: str,
) -> None:
    body = {**act, "step": step.name, "epoch": state.epoch}
    who = {"migration_id": state.migration_id, "actor": actor}
    if act["variant"] == "native":
        # before the intent: from then on the fleet may be exposed
        seconds = act_seconds(
            len(act["instances"]), fleet.max_unavailable, fleet.ready_deadline_seconds
        )
        journal.renew_lease(state.migration_id, holder=f"act {step.name}", seconds=seconds)

    def intend(events: Sequence[Event]) -> list[tuple[EventKind, Mapping[str, Any]]]:
        # an intent that nobody confirmed is this one, cut short
        is_known = dict(fold(events).pending_act or {}) == body
        return [] if is_known else [(EventKind.ACT_INTENDED, body)]

    journal.append_chosen(choose=intend, onward=True, **who)
    epoch, deadline_seconds = state.epoch, fleet.ready_deadline_seconds
    if act["act"] == "start_shadow":
        fleet.start_shadow(epoch)
        fleet.wait_ready(act["instances"], None, deadline_seconds, epoch=epoch)
    elif act["act"] == "stop_shadow":
        fleet.stop_shadow(epoch)
    else:
        fleet.set_variant(act["instances"], "native", epoch=epoch)
        fleet.wait_ready(act["instances"], "native", deadline_seconds, epoch=epoch)
    journal.append(EventKind.ACT_CONFIRMED, body=body, **who)


def _ids(statuses: Sequence[InstanceStatus]) -> list[str]:
    return [status.id for status in statuses]
