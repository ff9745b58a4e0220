"""What the guard knows: the journal read on, its copy on disk, and the plan that was begun with."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feed_migration import cutover
from feed_migration.guard.follower import JournalFollower
from feed_migration.guard.knowledge import Copy, KnowledgeFile, Known
from feed_migration.journal.store import Journal
from feed_migration.lease import Lease
from feed_migration.phases import Status
from feed_migration.plan.copy import PlanCopy
from feed_migration.plan.reader import load_plan
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, approve, begin, gate, pass_steps

PLANS = Path(__file__).parents[2] / "plans"


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


def started(journal, migration_id, step, run, at):
    body = {"step": step, "run": run, "key": "k", "started_unix": at}
    journal.append("step_started", migration_id=migration_id, actor="ana", body=body)


def test_it_knows_the_exposure_the_open_gate_and_the_lease(journal):
    """Read step by step as the migration goes on."""
    follower = JournalFollower(journal)
    assert follower.read() is None

    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    known = follower.read()
    assert (known.status, known.step, known.exposed) == (Status.RUNNING, "cutover-10", ("feed-00",))
    assert known.gate_started_unix is None
    assert known.plan_sha256 == PLAN.sha256
    assert known.lease == journal.lease(migration_id)

    started(journal, migration_id, "cutover-50", "1", 1234.5)
    assert follower.read().gate_started_unix == 1234.5
    gate(journal, migration_id, "cutover-50", "Rollback")
    known = follower.read()
    assert known.gate_started_unix is None
    assert known.breach == "gate cutover-50: Rollback at 9 s: stale was 61 s"


def test_it_knows_when_every_step_is_proven(journal):
    """Not one step earlier; the report and its step prove nothing."""
    follower, migration_id = JournalFollower(journal), begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="stabilisation")
    assert not follower.read().proven
    gate(journal, migration_id, "stabilisation")
    assert not follower.read().proven
    cutover.promote(PLAN.steps[-1], PLAN, journal, migration_id, "ana")
    assert follower.read().proven


def test_a_person_who_promotes_with_a_reason_ends_the_breach(journal):
    """Their word is in the log; the guard does not overrule it."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-10")
    gate(journal, migration_id, "cutover-10", "Rollback")
    approve(journal, migration_id, "cutover-10", "Promote", "the venue was down")
    assert JournalFollower(journal).read().breach == ""


def test_a_new_run_of_a_gate_is_another_gate(journal):
    """After a hold, somebody starts the gate again: the old verdict does not end the new run."""
    migration_id = begin(journal)
    started(journal, migration_id, "shadow", "1", 10.0)
    gate(journal, migration_id, "shadow", "Hold", run="1")
    follower = JournalFollower(journal)
    assert follower.read().gate_started_unix is None
    started(journal, migration_id, "shadow", "2", 20.0)
    known = follower.read()
    assert (known.run, known.gate_started_unix) == ("2", 20.0)


def test_a_journal_of_an_earlier_day_is_read_anew(journal, tmp_path):
    """Restored from a backup: it tells what that says, and what of the exposure it lacks."""
    follower = JournalFollower(journal)
    first = begin(journal)
    database = tmp_path / "journal.db"
    backup = database.read_bytes()
    pass_steps(journal, MemoryFleet(), first, until="cutover-50")
    before = follower.read()
    assert before.exposed == ("feed-00",)
    assert follower.lacks(before) == ()
    for path in tmp_path.glob("journal.db*"):
        path.unlink()
    database.write_bytes(backup)
    known = follower.read()
    assert (known.migration_id, known.exposed, known.step) == (first, (), "")
    assert follower.lacks(before) == ("feed-00",)


def test_a_verified_rollback_is_no_lack(journal):
    """Nor is one that another rollback was begun after: it has ended every exposure before it."""
    follower, migration_id = JournalFollower(journal), begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    before = follower.read()
    for kind in ("rollback_started", "rollback_verified", "rollback_started"):
        body = {"epoch": 9, "reason": "r"}
        journal.append(kind, migration_id=migration_id, actor="ana", body=body)
    assert follower.read().exposed == ()
    assert follower.lacks(before) == ()


def test_it_knows_a_migration_however_many_came_after_it(journal):
    """A guard that was away for months would else take the journal for another one."""
    follower, first = JournalFollower(journal), begin(journal)
    for _ in range(20):
        body = {"outcome": "rolled_back", "epoch": 1, "reason": "r"}
        running = journal.active_migration()
        for kind in ("rollback_started", "rollback_verified"):
            journal.append(kind, migration_id=running, actor="ana", body=body)
        begin(journal)
    follower.read()
    exposed = Known(migration_id=first, status=Status.RUNNING, exposed=("feed-00",))
    assert follower.lacks(exposed) == ()
    assert follower.lacks(replace(exposed, migration_id="mig-0000")) == ("feed-00",)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=12), st.integers(0, 12))
def test_reading_on_is_the_same_as_reading_all(moves, pause):
    """However often it was read in between, what it knows is what the whole journal says."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.db")
        follower = JournalFollower(journal)
        migration_id = begin(journal)
        for number, move in enumerate(moves):
            _move(journal, migration_id, move)
            if number >= pause:
                follower.read()
        assert follower.read() == JournalFollower(journal).read()


def _move(journal, migration_id, move):
    act = {
        "act": "set_variant",
        "variant": "native",
        "step": "cutover-10",
        "instances": ["feed-00"],
    }
    who = {"migration_id": migration_id, "actor": "ana"}
    if move == 0:
        started(journal, migration_id, "cutover-10", "1", 5.0)
    elif move == 1:
        journal.append("act_intended", body=act, **who)
    elif move == 2:
        journal.append("act_confirmed", body=act, **who)
    elif move == 3:
        gate(journal, migration_id, "cutover-10", "Rollback")
    elif move == 4:
        journal.append("held", body={"step": "cutover-10", "reason": "r"}, **who)
    elif move == 5:
        journal.append("rollback_started", body={"epoch": 9, "reason": "r"}, **who)
    else:
        journal.append("rollback_verified", body={"instances": {}}, **who)


def test_the_copy_comes_back_as_it_was(tmp_path):
    """Lease and all, so that a guard that starts without the journal is not ignorant."""
    lease = Lease(migration_id="m", holder="h", renewed_at=1.5, seconds=60.0)
    known = Known(
        migration_id="m",
        status=Status.HELD,
        step="cutover-50",
        exposed=("feed-00",),
        gate_started_unix=3.25,
        lease=lease,
    )
    file = KnowledgeFile(tmp_path / "guard" / "known.json")
    assert file.load() is None
    file.save(Copy(known=known, read_at=9.0))
    assert file.load() == Copy(known=known, read_at=9.0)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"read_at": "x"}', b"[]"])
def test_a_copy_that_cannot_be_read_is_none(tmp_path, content):
    """A torn one, or one of another version: the journal is asked as if there were none."""
    (tmp_path / "known.json").write_bytes(content)
    assert KnowledgeFile(tmp_path / "known.json").load() is None


def test_an_edited_plan_does_not_blind_the_guard(tmp_path):
    """It keeps the plan that the migration began with."""
    path = tmp_path / "plan.yaml"
    text = (PLANS / "demo.yaml").read_text(encoding="utf-8")
    path.write_text(text)
    plan = load_plan(path)
    assert PlanCopy(path, tmp_path / "guard").of(plan.sha256) == plan

    path.write_text(text.replace("min_duration: 40s", "min_duration: 41s"))
    again = PlanCopy(path, tmp_path / "guard")
    assert again.of(plan.sha256) == plan
    assert again.of("0" * 64) is None
    path.write_text("no plan")
    assert PlanCopy(path, tmp_path / "guard").of(plan.sha256) == plan
