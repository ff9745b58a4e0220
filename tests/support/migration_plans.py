"""A small plan of every phase, and the events that move a migration through it."""

from feed_migration import cutover
from feed_migration.journal.store import Journal
from feed_migration.model import Band, Criterion, Gate, Plan, Step

GATE = Gate(
    interval_seconds=1,
    min_duration_seconds=1,
    max_duration_seconds=10,
    criteria=(Criterion(name="stale", query="q", success=Band(maximum=1)),),
)
PLAN = Plan(
    name="small",
    sha256="a" * 64,
    steps=(
        Step(name="preflight", phase="preflight"),
        Step(name="shadow", phase="shadow", gate=GATE),
        Step(name="cutover-10", phase="cutover", percent=10, gate=GATE),
        Step(name="cutover-50", phase="cutover", percent=50, gate=GATE, approval=True),
        Step(name="cutover-100", phase="cutover", percent=100, gate=GATE),
        Step(name="stabilisation", phase="stabilisation", gate=GATE),
    ),
)


def begin(journal: Journal, plan: Plan = PLAN, **more) -> str:
    return journal.begin_migration(
        plan.name, plan.sha256, "ana", steps=plan.steps, run_key="r1", **more
    )


def gate(journal, migration_id, step, decision="Promote", run="1", **more):
    who = {"migration_id": migration_id, "actor": "gate"}
    journal.append("step_started", body={"step": step, "run": run}, **who)
    reasons = [
        {
            "criterion": "stale",
            "text": "stale was 61 s",
            "value": 61.0,
            "threshold": "failure >= 45",
            "series": {"instance_id": "feed-00", "symbol": "SOL-USDC"},
            "query": 'max by (symbol) (age{variant="native"})',
        }
    ]
    body = {"step": step, "run": run, "decision": decision, "at_seconds": 9.0, "reasons": reasons}
    journal.append("verdict", body={**body, **more}, **who)


def approve(journal, migration_id, step, decision="Approve", reason=""):
    body = {"step": step, "decision": decision, "reason": reason}
    journal.append("approval", migration_id=migration_id, actor="ana", body=body)


def pass_steps(journal, fleet, migration_id, *, until):
    """Take the migration through every step before `until`, the happy way."""
    for step in PLAN.steps:
        if step.name == until:
            return
        if step.approval:
            approve(journal, migration_id, step.name)
        cutover.advance(step, PLAN, fleet, journal, migration_id, "ana")
        if step.gate is not None:
            gate(journal, migration_id, step.name)
        cutover.promote(step, PLAN, journal, migration_id, "ana")


def breach(journal, fleet):
    """Begin a migration, take `fleet` to 50 %, and let its gate say Rollback; returns its id."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-100")
    gate(journal, migration_id, "cutover-50", "Rollback", breach_at=1000.0)
    return migration_id
