"""Who may drive a migration: one living DAG run, with the plan it began with."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from feed_migration.errors import GateNotPassed, MigrationActive, MigrationNotRunning, PlanChanged
from feed_migration.journal.store import Journal
from feed_migration.lease import HANDOVER_SECONDS
from feed_migration.orchestration.joining import Applicant, join_migration
from feed_migration.plan.reader import load_plan

PLAN = load_plan(Path(__file__).with_name("plan.yaml"))
EVERYTHING = tuple(step.name for step in PLAN.steps if step.phase != "preflight")
ANN = Applicant(key="m/1#0", dag_id="m", run_id="1", actor="ann", steps=EVERYTHING)
BOB = Applicant(key="m/2#0", dag_id="m", run_id="2", actor="bob", steps=EVERYTHING)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def alive(dag_id: str, run_id: str) -> str:
    return "running"


def over(dag_id: str, run_id: str) -> str:
    return "failed"


def test_a_retry_joins_what_it_began(journal: Journal):
    """A killed `begin` leaves one migration, however often it is tried."""
    first = join_migration(journal, PLAN, ANN, run_state=alive)
    assert join_migration(journal, PLAN, ANN, run_state=alive) == first
    assert len(journal.events(kind="migration_started")) == 1


def test_a_second_run_is_refused_while_the_first_lives(journal: Journal):
    """Two DAG runs never drive one migration, whatever their DAGs are."""
    join_migration(journal, PLAN, ANN, run_state=over)
    before = journal.events()
    with pytest.raises(MigrationActive, match="m 1 drives"):
        join_migration(journal, PLAN, BOB, run_state=alive)
    assert journal.events() == before


def test_a_second_run_continues_after_a_dead_one(journal: Journal):
    """What a dead run left behind is taken over, under the name of who does it."""
    first = join_migration(journal, PLAN, ANN, run_state=over)
    assert join_migration(journal, PLAN, BOB, run_state=over) == first
    assert journal.events(first)[-1].actor == "bob"


def hold(journal, migration_id, at):
    """Written when the test says, by the journal's own clock."""
    journal.append("step_started", migration_id=migration_id, actor="ann", body={"step": "shadow"})
    at.now = 2000.0
    body = {"step": "shadow", "reason": "odd book"}
    journal.append("held", migration_id=migration_id, actor="bo", body=body)


def take_back(journal, migration_id, at):
    at.now = 1990.0
    body = {"reason": "gap", "epoch": 9, "breach_at": 1990.0, "instances": {}, "logs": {}}
    journal.append("rollback_started", migration_id=migration_id, actor="guard:a", body=body)
    at.now = 2000.0
    body = {"instances": {}, "breach_at": 1990.0, "breach_to_rollback_seconds": 10.0}
    journal.append("rollback_verified", migration_id=migration_id, actor="guard:a", body=body)


@pytest.fixture
def at():
    return SimpleNamespace(now=1000.0)


@pytest.mark.parametrize(("happens", "said"), [(hold, "was held"), (take_back, "went back")])
def test_a_run_that_was_asked_for_before_goes_no_further(tmp_path: Path, at, happens, said: str):
    """It was queued behind the one that drove; who asked for it did not know of this."""
    journal = Journal(tmp_path / "journal.db", clock=lambda: at.now)
    migration_id = join_migration(journal, PLAN, ANN, run_state=alive)
    happens(journal, migration_id, at)
    before = journal.events()
    queued = replace(BOB, asked_at=1999.0)
    with pytest.raises(
        MigrationNotRunning, match=rf"m 2 was asked for .*{migration_id} {said}"
    ) as refusal:
        join_migration(journal, PLAN, queued, run_state=over)
    assert "trigger it again" in str(refusal.value.remedy)
    assert journal.events() == before
    join_migration(journal, PLAN, replace(BOB, asked_at=2001.0), run_state=over)
    assert journal.active_migration() is not None


def test_a_run_that_drove_may_be_cleared_after_a_hold(tmp_path: Path, at):
    """A person has asked for it since; a retry of its own is the same request as before."""
    journal = Journal(tmp_path / "journal.db", clock=lambda: at.now)
    driving = replace(ANN, asked_at=900.0)
    migration_id = join_migration(journal, PLAN, driving, run_state=alive)
    hold(journal, migration_id, at)
    assert join_migration(journal, PLAN, driving, run_state=alive) == migration_id


def test_of_two_runs_that_continue_at_once_one_is_refused(journal: Journal):
    """Both found the old driver dead before either had written that it drives now."""
    migration_id = join_migration(journal, PLAN, ANN, run_state=over)
    carl = replace(BOB, key="m/3#0", run_id="3", actor="carl")
    joined: list[str] = []

    def over_then_alive(dag_id: str, run_id: str) -> str:
        if run_id == "1" and not joined:
            joined.append(join_migration(journal, PLAN, carl, run_state=over))
        return "failed" if run_id == "1" else "running"

    with pytest.raises(MigrationActive, match="m 3 drives"):
        join_migration(journal, PLAN, BOB, run_state=over_then_alive)
    assert joined == [migration_id]
    assert journal.events(migration_id, "audit_note")[-1].actor == "carl"


def test_a_changed_plan_is_refused(journal: Journal):
    """Thresholds cannot move while they are being judged by."""
    join_migration(journal, PLAN, ANN, run_state=over)
    with pytest.raises(PlanChanged, match="restore it"):
        join_migration(journal, replace(PLAN, sha256="0" * 64), ANN, run_state=over)


@pytest.mark.parametrize("override", [{}, {"waive": True}, {"reason": "because"}])
def test_an_early_phase_cannot_be_skipped_without_both_tick_and_reason(
    journal: Journal, override: dict[str, object]
):
    """A refusal names what is missing, and writes nothing."""
    late = replace(BOB, steps=("cutover-50", "cutover-100"), **override)
    with pytest.raises(GateNotPassed, match="dry_run, shadow"):
        join_migration(journal, PLAN, late, run_state=over)
    assert journal.events() == []


def test_a_cutover_that_never_moved_the_fleet_cannot_be_waived(journal: Journal):
    """A reason stands in for a proof, not for the act."""
    late = replace(BOB, steps=("stabilisation",), waive=True, reason="because")
    with pytest.raises(GateNotPassed, match="cutover-50, cutover-100"):
        join_migration(journal, PLAN, late, run_state=over)
    assert journal.events() == []


def test_a_cutover_that_moved_the_fleet_can_be_waived(journal: Journal):
    """Its gate is what the person answers for."""
    migration_id = join_migration(journal, PLAN, ANN, run_state=over)
    for step in ("cutover-50", "cutover-100"):
        body = {"act": "set_variant", "variant": "native", "step": step, "instances": ["feed-00"]}
        for kind in ("act_intended", "act_confirmed"):
            journal.append(kind, migration_id=migration_id, actor="ann", body=body)
    journal.renew_lease(migration_id, holder="gate cutover-100", seconds=1.0)
    late = replace(BOB, steps=("stabilisation",), waive=True, reason="because")
    join_migration(journal, PLAN, late, run_state=over)
    assert "cutover-100" in journal.state(migration_id).promoted
    # the guard would take back what a person has just answered for
    assert journal.lease(migration_id).seconds == HANDOVER_SECONDS
