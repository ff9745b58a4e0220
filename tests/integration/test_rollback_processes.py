"""The way back with real processes: supervisord, handlers, and `backpack-migrate rollback` itself."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from feed_migration import cutover
from feed_migration.errors import StaleEpoch
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.conditions import eventually_sync
from tests.support.migration_plans import PLAN, approve, begin, gate

COMMAND = [Path(sys.executable).parent / "backpack-migrate", "rollback", "--reason", "gate"]


@pytest.fixture
def exposed(running):
    """A migration at 50 % on the real fleet, whose gate has just said Rollback."""
    journal = Journal(running.deployment.journal_url)
    migration_id = begin(journal)
    for name in ("preflight", "shadow", "cutover-10", "cutover-50"):
        step = PLAN.step(name)
        approve(journal, migration_id, name)
        if step.phase == "cutover":
            cutover.advance(step, PLAN, running.fleet, journal, migration_id, "ana")
        gate(journal, migration_id, name, "Rollback" if name == "cutover-50" else "Promote")
        if name != "cutover-50":
            cutover.promote(step, PLAN, journal, migration_id, "ana")
    assert list(running.variants().values()).count("native") == 2
    return journal, migration_id


def command(running, **more):
    environment = {**os.environ, "BACKPACK_HOME": str(running.home)}
    return subprocess.Popen(
        COMMAND,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def roll_back(running):
    process = command(running)
    out, err = process.communicate(timeout=50)
    return process.returncode, out, err


def test_the_command_takes_the_fleet_back_and_documents_it(running, exposed):
    """Flag, restart, verification, incident: one command, exit 0."""
    journal, migration_id = exposed
    untouched = running.pids()["feed-03"]

    code, out, err = roll_back(running)

    assert (code, err) == (0, "")
    assert "rolled back: 4 instances on ccxt with data flowing" in out
    assert set(running.variants().values()) == {"ccxt"}
    assert running.pids()["feed-03"] == untouched
    state = journal.state(migration_id)
    assert (state.status, state.exposed) == (Status.ROLLED_BACK, ())
    page = running.deployment.incidents_file.read_text()
    assert "feed-00 runs native, private_key=[redacted]" in page
    assert "| feed-00 | native | ccxt |" in page
    assert journal.verify().ok


@pytest.mark.parametrize("kind", ["rollback_started", "rollback_act"])
def test_a_rollback_killed_after_any_event_is_completed_by_the_next(running, exposed, kind):
    """A kill -9 as soon as the journal has the event: the repeat ends rolled back."""
    journal, migration_id = exposed
    process = command(running, start_new_session=True)
    eventually_sync(lambda: journal.events(migration_id, kind), 20)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    code, _, err = roll_back(running)

    assert (code, err) == (0, "")
    assert set(running.variants().values()) == {"ccxt"}
    assert journal.state(migration_id).status is Status.ROLLED_BACK
    assert journal.verify().ok


def test_the_command_needs_no_database(running, exposed):
    """A locked journal is not waited for: the fleet is back first, the journal learns it later."""
    _, migration_id = exposed
    with closing(sqlite3.connect(running.home / "journal.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        code, out, err = roll_back(running)
        holder.execute("ROLLBACK")

    assert code == 0
    assert "rolled back: 4 instances" in out
    assert "journal unavailable, spooled" in err
    assert set(running.variants().values()) == {"ccxt"}
    later = Journal(running.deployment.journal_url)
    assert later.state(migration_id).status is Status.ROLLED_BACK
    assert later.verify().ok


def test_a_worker_stopped_in_the_middle_cannot_undo_a_rollback(running, exposed):
    """A forward step that wakes up after the rollback presents a stale epoch."""
    journal, migration_id = exposed
    stale = journal.state(migration_id).epoch
    assert roll_back(running)[0] == 0
    with pytest.raises(StaleEpoch):
        running.fleet.set_variant(["feed-00"], "native", epoch=stale)
    assert set(running.variants().values()) == {"ccxt"}
