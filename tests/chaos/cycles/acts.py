"""What drivers do to the fleet: the same calls as Airflow's tasks and the command line make."""

from feed_migration import cutover, rollback
from feed_migration.events import EventKind
from feed_migration.model import Plan, Step
from feed_migration.phases import Status
from tests.chaos.cycles.driver import Act, Hands
from tests.support.migration_plans import GATE, gate

ACTOR = "chaos"


def plan_of(ramp: tuple[int, ...]) -> Plan:
    """A plan that is nothing but its cutover steps."""
    steps = tuple(
        Step(name=f"cutover-{percent}", phase="cutover", percent=percent, gate=GATE)
        for percent in ramp
    )
    return Plan(name="cycle", sha256="c" * 64, steps=steps)


def begin(plan: Plan, run_key: str) -> Act:
    """Begin a migration, once for a run key."""

    def act(hands: Hands) -> None:
        hands.journal.begin_migration(
            plan.name, plan.sha256, ACTOR, steps=plan.steps, run_key=run_key
        )

    return act


def forward(plan: Plan, step: Step, migration_id: str) -> Act:
    """One cutover step."""
    return lambda hands: _ignore(
        cutover.advance(step, plan, hands.fleet, hands.journal, migration_id, ACTOR)
    )


def prove(plan: Plan, step: Step, migration_id: str) -> Act:
    """The gate promotes, and the step is promoted."""

    def act(hands: Hands) -> None:
        if step.name not in hands.journal.state(migration_id).proven:
            gate(hands.journal, migration_id, step.name)
        cutover.promote(step, plan, hands.journal, migration_id, ACTOR)

    return act


def finish(migration_id: str) -> Act:
    """Close the books of a promoted migration, once."""

    def act(hands: Hands) -> None:
        if hands.journal.state(migration_id).status is Status.RUNNING:
            hands.journal.append(
                EventKind.MIGRATION_FINISHED,
                migration_id=migration_id,
                actor=ACTOR,
                body={"outcome": str(Status.PROMOTED)},
            )

    return act


def take_back(migration_id: str) -> Act:
    """A whole rollback: flip, restart, verified data on every instance."""

    def act(hands: Hands) -> None:
        fleet, journal, spool = hands.fleet, hands.journal, hands.spool
        rollback.revert(fleet, journal, migration_id, ACTOR, "chaos", spool=spool)
        rollback.verify(fleet, journal, migration_id, ACTOR, spool=spool)

    return act


def _ignore(result: object) -> None:
    del result
