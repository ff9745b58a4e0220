"""The way back works from anywhere, again and again, with everything else broken."""

import io
import json
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest

from feed_migration import rollback
from feed_migration.describing import describe
from feed_migration.errors import FleetBusy, FleetUnavailable, RollbackUnverified
from feed_migration.journal.spool import UNRESOLVED, Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.memory_fleet import Killed, MemoryFleet
from tests.support.migration_plans import begin, breach, pass_steps


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "journal.spool.jsonl", io.StringIO())


@pytest.fixture
def exposed(journal):
    """A fleet at 50 % whose gate has just said Rollback."""
    fleet = MemoryFleet()
    return fleet, breach(journal, fleet)


def revert(fleet, journal, migration_id, spool, **more):
    return rollback.revert(fleet, journal, migration_id, "ana", "breach", spool=spool, **more)


def verify(fleet, journal, migration_id, spool, **more):
    return rollback.verify(fleet, journal, migration_id, "ana", spool=spool, **more)


def test_rollback_puts_every_instance_on_ccxt_and_proves_it(journal, spool, exposed):
    """Flag, restart, verification, and the time since the breach."""
    fleet, migration_id = exposed

    result = revert(fleet, journal, migration_id, spool)
    proof = verify(fleet, journal, migration_id, spool, clock=lambda: 1004.5)

    assert fleet.native == []
    assert sorted(result.before.values()).count("native") == 5
    assert result.logs["feed-00"] == ["feed-00: sequence gap"]
    assert set(proof.instances.values()) == {"ccxt"}
    assert (proof.breach_to_rollback_seconds, proof.breached) == (4.5, True)
    assert journal.state(migration_id).status is Status.ROLLED_BACK
    assert journal.state(migration_id).exposed == ()


@pytest.mark.parametrize("away", [False, True])
def test_a_rollback_by_hand_has_no_breach(journal, spool, away):
    """Its time counts from when it began, also where that comes out of the spool later."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-100")

    known = None if away else journal
    result = revert(fleet, known, migration_id, spool, clock=lambda: 1000.0)
    proof = verify(fleet, known, migration_id, spool, breach_at=result.breach_at)
    assert not proof.breached

    journal.absorb(spool)
    (told,) = journal.events(kind="rollback_verified")
    assert told.body["breached"] is False
    assert describe(told).endswith("s after it began")


def test_the_epoch_of_a_rollback_is_above_every_other(journal, spool, exposed):
    """Also above one that only the fleet has seen, when the journal was away."""
    fleet, migration_id = exposed
    fleet.seen_epoch = 41
    assert revert(fleet, journal, migration_id, spool).epoch == 42
    verify(fleet, journal, migration_id, spool)
    assert begin(journal).startswith("mig-0043-")


def acts_of_a_rollback():
    return ["flip feed-00", "flip feed-02", "flip feed-04", "stop_shadow", "wait"]


@pytest.mark.parametrize("deadly", acts_of_a_rollback())
def test_a_rollback_killed_at_any_act_is_completed_by_the_next(journal, spool, exposed, deadly):
    """Resumable and idempotent: no instance restarts twice, none stays."""
    fleet, migration_id = exposed
    before = dict(fleet.restarts)

    def die(act):
        if act == deadly:
            fleet.before_act = lambda act: None
            raise Killed

    fleet.before_act = die

    def revert_and_verify():
        revert(fleet, journal, migration_id, spool)
        verify(fleet, journal, migration_id, spool)

    with pytest.raises(Killed):
        revert_and_verify()
    revert_and_verify()

    assert fleet.native == []
    assert not fleet.shadow_runs
    assert max(fleet.restarts[name] - before[name] for name in before) == 1
    assert journal.state(migration_id).status is Status.ROLLED_BACK


@pytest.mark.parametrize("until", ["preflight", "shadow", "cutover-10", "stabilisation", None])
def test_rollback_starts_from_every_phase(journal, spool, until):
    """Also before anything was exposed, and after the whole plan was promoted."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until=until)
    if until is None:
        body = {"outcome": "promoted"}
        journal.append("migration_finished", migration_id=migration_id, actor="a", body=body)
        assert journal.state(migration_id).status is Status.PROMOTED

    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)

    assert fleet.native == []
    assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_a_second_rollback_changes_nothing_and_keeps_the_first_time(journal, spool, exposed):
    """Verification told twice is recorded once."""
    fleet, migration_id = exposed
    revert(fleet, journal, migration_id, spool)
    at = journal.state(migration_id).breach_at
    first = verify(fleet, journal, migration_id, spool)
    again = verify(fleet, journal, migration_id, spool, clock=lambda: at + 10_000)

    first_seconds = pytest.approx(first.breach_to_rollback_seconds, abs=1)
    assert again.breach_to_rollback_seconds == first_seconds
    kinds = [event.kind for event in journal.events(migration_id)]
    assert kinds.count("rollback_verified") == 1


def test_without_a_journal_events_are_spooled_and_absorbed_later(tmp_path, journal, spool, exposed):
    """Disk, stderr, and then the journal: in order, once, under the right migration."""
    fleet, migration_id = exposed
    result = revert(fleet, None, UNRESOLVED, spool)
    verify(fleet, None, UNRESOLVED, spool, breach_at=result.breach_at)
    assert fleet.native == []
    kept = spool.path.read_text()

    Journal(tmp_path / "journal.db")
    spool.path.write_text(kept)  # as if the process had been killed before it emptied the file
    later = Journal(tmp_path / "journal.db")

    kinds = [event.kind for event in later.events(migration_id)]
    assert kinds.count("rollback_started") == kinds.count("rollback_verified") == 1
    assert later.state(migration_id).status is Status.ROLLED_BACK
    assert later.verify().ok
    assert spool.path.read_text() == ""


def test_a_journal_that_breaks_half_way_loses_no_event(tmp_path, journal, spool, exposed):
    """What the journal refuses goes to the spool, and all that follows it too."""
    fleet, migration_id = exposed
    broken = tmp_path / "journal.db"
    whole = broken.read_bytes()

    def corrupt(act):
        if act == "flip feed-02":
            for path in tmp_path.glob("journal.db*"):
                path.write_bytes(b"not a database " * 500)

    fleet.before_act = corrupt
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)

    assert fleet.native == []
    lines = [json.loads(line) for line in spool.path.read_text().splitlines() if line]
    assert lines[-1]["kind"] == "rollback_verified"
    for path in tmp_path.glob("journal.db-*"):
        path.unlink()
    broken.write_bytes(whole)


def test_a_full_disk_does_not_stop_a_rollback(tmp_path, exposed):
    """Neither journal nor spool can be written: stderr has the events, the fleet is back."""
    fleet, _ = exposed
    errors = io.StringIO()
    nowhere = Spool(tmp_path / "journal.db" / "spool.jsonl", errors)  # below a file: cannot exist

    revert(fleet, None, "m", nowhere)

    assert fleet.native == []
    assert "rollback_started" in errors.getvalue()


def test_a_fleet_that_is_down_is_reported_after_every_act_was_tried(journal, spool, exposed):
    """The migration stays in rolling back, and a repeat completes it."""
    fleet, migration_id = exposed
    fleet.down = True
    with pytest.raises(FleetUnavailable):
        revert(fleet, journal, migration_id, spool)
    assert journal.state(migration_id).status is Status.ROLLING_BACK
    tried = [e.body["act"] for e in journal.events(migration_id, "rollback_act")]
    assert tried == ["set_variant", "stop_shadow"]

    fleet.down = False
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)
    assert fleet.native == []


def test_a_rollback_goes_on_above_whoever_comes_in_between(journal, spool, exposed):
    """Fencing stops forward acts, never the way back."""
    fleet, migration_id = exposed

    def overtake(act):
        if act == "flip feed-03" and fleet.seen_epoch < 50:
            fleet.seen_epoch = 50

    fleet.before_act = overtake
    assert revert(fleet, journal, migration_id, spool).epoch == 51
    assert fleet.native == []


def test_a_rollback_takes_the_fleet_from_a_stopped_rollback(journal, spool, exposed):
    """The first was stopped with the fleet in its hands; the next one goes on above it."""
    fleet, migration_id = exposed

    def busy(act):
        fleet.before_act = lambda act: None
        raise FleetBusy("another process holds the fleet")

    fleet.before_act = busy
    result = revert(fleet, journal, migration_id, spool)
    assert result.epoch == journal.state(migration_id).rollback_epoch + 1
    assert fleet.native == []


def test_a_new_life_with_the_same_pid_is_a_new_life(journal, spool, exposed):
    """In a container every process is 1: fewer messages than before are data that flows."""
    fleet, migration_id = exposed
    revert(fleet, journal, migration_id, spool)
    lives = iter([(100.0, 5000), (200.0, 7)])
    instances = fleet.instances

    def restarted():
        started_at, messages = next(lives, (200.0, 7))
        return tuple(
            replace(status, pid=1, started_at=started_at, messages=messages)
            for status in instances()
        )

    original, asked = instances, iter([True])
    fleet.instances = lambda: original() if next(asked, False) else restarted()
    proof = verify(fleet, journal, migration_id, spool, deadline_seconds=1)
    assert set(proof.instances.values()) == {"ccxt"}


@pytest.mark.parametrize("fault", ["never_ready", "dry"])
def test_data_must_flow_on_every_instance(journal, spool, exposed, fault):
    """Not ready, or ready without a message since the restart: not verified, and named."""
    fleet, migration_id = exposed
    revert(fleet, journal, migration_id, spool)
    getattr(fleet, fault).add("feed-07")

    with pytest.raises(RollbackUnverified, match="feed-07: no ") as caught:
        verify(fleet, journal, migration_id, spool, deadline_seconds=0.3)

    assert caught.value.instances == ("feed-07",)
    assert journal.state(migration_id).status is Status.ROLLING_BACK


def locked(tmp_path):
    """Somebody holds the journal's write lock: appends wait and give up, reading goes on."""
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return closing(connection)


def test_a_journal_that_comes_back_has_the_beginning_before_the_end(
    tmp_path, journal, spool, exposed
):
    """What `revert` had to spool is in the journal before `verify` adds its proof."""
    fleet, migration_id = exposed
    with locked(tmp_path):
        revert(fleet, journal, migration_id, spool)
    assert "rollback_started" in spool.path.read_text()

    verify(fleet, journal, migration_id, spool)

    state = journal.state(migration_id)
    assert (state.status, state.ignored) == (Status.ROLLED_BACK, ())
    assert spool.path.read_text() == ""


def test_what_cannot_be_absorbed_yet_keeps_the_proof_behind_it(tmp_path, journal, spool, exposed):
    """The journal stays locked for all of the rollback; the next start puts it in, in order."""
    fleet, migration_id = exposed
    began = time.monotonic()
    with locked(tmp_path):
        result = revert(fleet, journal, migration_id, spool)
        verify(fleet, journal, migration_id, spool, breach_at=result.breach_at)
    # a rollback waits a second for each of its two halves, not a journal's fifteen
    assert time.monotonic() - began < 10

    state = Journal(tmp_path / "journal.db").state(migration_id)
    assert (state.status, state.ignored) == (Status.ROLLED_BACK, ())


def test_what_is_spooled_during_a_slow_absorption_is_not_lost(spool):
    """A rollback does not wait for one who waits for the journal with the spool in its hand."""
    who = {"at": 1.0, "migration_id": "m", "actor": "ana"}
    spool.write("audit_note", body={"number": 1}, **who)
    rollback_s_own = Spool(spool.path, io.StringIO())
    absorbed = []

    def slowly(event):
        if not absorbed:
            rollback_s_own.write("audit_note", body={"number": 2}, **who)
        absorbed.append(event.body["number"])

    assert spool.absorb(slowly) == 2
    assert absorbed == [1, 2]
    assert spool.is_empty()


def test_a_spooled_line_of_another_shape_is_kept_aside(tmp_path, journal, spool, exposed):
    """It must not keep the journal from opening for ever, and it may be evidence."""
    _, migration_id = exposed
    who = {"migration_id": migration_id, "actor": "ana", "at": 1.0}
    spool.write("audit_note", body={"text": "kept"}, **who)
    with spool.path.open("a") as stream:
        stream.write('{"id":"x","at":"noon","migration_id":"m","kind":"k","actor":"a","body":7}\n')

    notes = Journal(tmp_path / "journal.db").events(migration_id, "audit_note")

    assert [note.body["text"] for note in notes] == ["kept"]
    assert '"at":"noon"' in spool.rejected_path.read_text()
    assert spool.is_empty()


class Unpredictable(Journal):
    """A journal that fails in a way that nobody thought of."""

    def state(self, migration_id):
        raise RuntimeError(migration_id)

    max_epoch = append = state


def test_a_journal_that_fails_in_any_way_does_not_stop_a_rollback(tmp_path, spool, exposed):
    """Not only by the error that it promises."""
    fleet, migration_id = exposed
    journal = Unpredictable(tmp_path / "journal.db")
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool, breach_at=1.0)
    assert fleet.native == []
    assert "rollback_verified" in spool.path.read_text()


def test_an_unreadable_fence_does_not_stop_a_rollback(journal, spool, exposed):
    """The journal's epochs stand in for it."""
    fleet, migration_id = exposed
    highest = journal.max_epoch()

    def unreadable():
        raise FleetUnavailable("fence is unreadable")

    fleet.epoch = unreadable
    assert revert(fleet, journal, migration_id, spool).epoch == highest + 1
    assert fleet.native == []
