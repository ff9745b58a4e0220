"""Which migration a DAG run works on: its own, one it may continue, or none.

The journal decides. A DAG run begins a migration, or joins the active one where the steps before
its own are promoted, the plan is unchanged and no other living DAG run drives it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feed_migration.driving import JOINED, joins
from feed_migration.errors import GateNotPassed, MigrationActive, MigrationNotRunning, PlanChanged
from feed_migration.events import EventKind
from feed_migration.lease import HANDOVER_SECONDS
from feed_migration.markdown import utc
from feed_migration.model import Plan, Step

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

ALIVE = frozenset({"running", "queued"})
# What a migration is not led on from by somebody who does not know of it
_STOPPED = {
    EventKind.ROLLBACK_VERIFIED: "went back",
    EventKind.ROLLBACK_STARTED: "went back",
    EventKind.HELD: "was held",
}


@dataclass(frozen=True, kw_only=True)
class Applicant:
    """A DAG run that wants to act: its steps in order, and who stands behind it.

    `waive` lets it start although earlier steps are not promoted; the journal keeps the reason.
    `asked_at` is when a person asked for it, in unix seconds by Airflow's clock; None where one has
    cleared it since.
    """

    key: str
    dag_id: str
    run_id: str
    actor: str
    steps: tuple[str, ...]
    reason: str = ""
    waive: bool = False
    asked_at: float | None = None


def join_migration(
    journal: "Journal",
    plan: Plan,
    applicant: Applicant,
    *,
    run_state: Callable[[str, str], str],
    fleet_epoch: int = 0,
    fleet: Mapping[str, Any] | None = None,
) -> str:
    """Return the id of the migration to work on, begun above `fleet_epoch` if there is none.

    It then begins with `fleet`, see `fleet.known.record`. `run_state` gives the Airflow state of
    (dag_id, run_id). Raises MigrationActive, PlanChanged or GateNotPassed, each with its remedy;
    nothing has happened then. Refused too is what was asked for before a hold or a way back.
    """
    migration_id = journal.active_migration()
    if migration_id is not None:
        _require_same_plan(journal, migration_id, plan)
        joined = joins(journal, migration_id)
        _require_no_other_driver(joined[-1] if joined else None, migration_id, applicant, run_state)
    _require_known_to_who_asked(journal, applicant)
    missing = _missing(plan, _promoted(journal, migration_id), applicant.steps)
    if missing and not (applicant.waive and applicant.reason):
        raise GateNotPassed(
            f"{applicant.dag_id} needs {', '.join(missing)} promoted first",
            "run backpack_migration or the earlier phase, or trigger again with "
            "`skip_earlier_phases` and a reason",
        )
    _require_moved(journal, migration_id, plan, missing)
    if migration_id is None:
        migration_id = journal.begin_migration(
            plan.name,
            plan.sha256,
            applicant.actor,
            steps=plan.steps,
            run_key=applicant.key,
            fleet_epoch=fleet_epoch,
            fleet=fleet,
        )
    _take_over(journal, migration_id, applicant, run_state)
    _promote_implied(journal, migration_id, plan, applicant.actor)
    for step in missing:
        _waive(journal, migration_id, step, applicant)
    return migration_id


def drives(journal: "Journal", migration_id: str, dag_run: Any) -> bool:
    """Return whether `dag_run` (with `dag_id`, `run_id`) is the last that joined the migration."""
    last: Mapping[str, Any] = (joins(journal, migration_id) or [{}])[-1]
    return (last.get("dag_id"), last.get("run_id")) == (dag_run.dag_id, dag_run.run_id)


def _promote_implied(journal: "Journal", migration_id: str, plan: Plan, actor: str) -> None:
    promoted = _promoted(journal, migration_id)
    for step in plan.steps:
        if _implied(step) and step.name not in promoted:
            body = {"step": step.name}
            journal.append("step_promoted", migration_id=migration_id, actor=actor, body=body)


def _waive(journal: "Journal", migration_id: str, step: str, applicant: Applicant) -> None:
    """Promote a step by a person's word, which the journal keeps as what it is."""
    # first: behind a long hold there is no lease left, and what is held no more is taken back
    journal.renew_lease(migration_id, holder=f"handover {step}", seconds=HANDOVER_SECONDS)
    override = {"step": step, "decision": "Promote", "reason": applicant.reason}
    for kind, body in (("approval", override), ("step_promoted", {"step": step, "run": "1"})):
        journal.append(kind, migration_id=migration_id, actor=applicant.actor, body=body)


def _promoted(journal: "Journal", migration_id: str | None) -> Sequence[str]:
    return () if migration_id is None else tuple(journal.state(migration_id).promoted)


def _missing(plan: Plan, promoted: Sequence[str], steps: Sequence[str]) -> tuple[str, ...]:
    """Return the gated steps before the applicant's first that are not promoted."""
    before: list[str] = []
    for step in plan.steps:
        if step.name in steps:
            break
        before.append(step.name)
    return tuple(name for name in before if name not in promoted and not _implied(plan.step(name)))


def _require_known_to_who_asked(journal: "Journal", applicant: Applicant) -> None:
    """Airflow lets a run wait behind the one that drives, and begins it when that has ended.

    What ended it, a hold or a way back, is then not undone by who asked before they could know.
    """
    migration_id = journal.latest_migration()
    if migration_id is None or applicant.asked_at is None:
        return
    if journal.active_migration() and drives(journal, migration_id, applicant):
        # a retry of its own is no new request
        return
    for kind, what in _STOPPED.items():
        newest = next(reversed(journal.events(migration_id, kind)), None)
        if newest is not None and newest.at > applicant.asked_at:
            run = f"{applicant.dag_id} {applicant.run_id}"
            raise MigrationNotRunning(
                f"{run} was asked for at {utc(applicant.asked_at)}, before migration "
                f"{migration_id} {what} ({newest.actor}, {utc(newest.at)})",
                "look at what has happened, and trigger it again if it is still wanted",
            )


def _require_moved(
    journal: "Journal", migration_id: str | None, plan: Plan, waived: Sequence[str]
) -> None:
    """A person's word stands in for the proof of a step, but not for the step."""
    confirmed: set[Any] = set()
    if migration_id is not None:
        acts = journal.events(migration_id=migration_id, kind="act_confirmed")
        confirmed = {act.body.get("step") for act in acts if act.body.get("variant") == "native"}
    still = [name for name in waived if plan.step(name).phase == "cutover"]
    never = [name for name in still if name not in confirmed]
    if never:
        raise GateNotPassed(
            f"{', '.join(never)} cannot be skipped, the fleet was never moved",
            "run backpack_cutover",
        )


def _implied(step: Step) -> bool:
    """Whether every DAG run does this step itself before it acts."""
    return step.phase == "preflight"


def _require_same_plan(journal: "Journal", migration_id: str, plan: Plan) -> None:
    for event in journal.events(migration_id=migration_id, kind="migration_started"):
        if event.body["plan_sha256"] != plan.sha256:
            raise PlanChanged(
                f"the plan {plan.name!r} is not the one that migration {migration_id} began with",
                "restore it, or run backpack_rollback and begin again",
            )


def _take_over(
    journal: "Journal",
    migration_id: str,
    applicant: Applicant,
    run_state: Callable[[str, str], str],
) -> None:
    """Become the driver; of two runs that ask at once, one does and the other is refused."""
    while True:
        joined = joins(journal, migration_id)
        driver = joined[-1] if joined else None
        _require_no_other_driver(driver, migration_id, applicant, run_state)
        if driver is not None and driver["key"] == applicant.key:
            return
        body = {
            "note": JOINED,
            "turn": len(joined) + 1,
            "key": applicant.key,
            "dag_id": applicant.dag_id,
            "run_id": applicant.run_id,
            "reason": applicant.reason,
        }
        if journal.note(migration_id, applicant.actor, body, once="turn"):
            return


def _require_no_other_driver(
    driver: Mapping[str, Any] | None,
    migration_id: str,
    applicant: Applicant,
    run_state: Callable[[str, str], str],
) -> None:
    if driver is None or (driver["dag_id"], driver["run_id"]) == (
        applicant.dag_id,
        applicant.run_id,
    ):
        return
    if run_state(driver["dag_id"], driver["run_id"]) in ALIVE:
        raise MigrationActive(
            f"{driver['dag_id']} {driver['run_id']} drives migration {migration_id}",
            "wait for it, or mark it failed: it rolls back unless its last gate has promoted",
        )
