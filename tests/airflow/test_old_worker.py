"""A worker that slept through a rollback changes nothing when it wakes up, and is heard of."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from feed_migration import rollback
from feed_migration.fleet.supervisor_conf import conf_path
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from feed_migration.plan.reader import load_plan
from tests.support import sleepy_worker
from tests.support.conditions import eventually_sync
from tests.support.kubernetes_fleet import cluster_fleet
from tests.support.supervised_fleet import supervised_fleet

PLAN_FILE = Path(__file__).with_name("plan.yaml")
PLAN = load_plan(PLAN_FILE)


def begun(journal: Journal) -> str:
    """A migration in which the first half of the fleet is next."""
    migration_id = journal.begin_migration(PLAN.name, PLAN.sha256, "ann", steps=PLAN.steps)
    who = {"migration_id": migration_id, "actor": "ann"}
    for step in ("preflight", "dry_run", "shadow"):
        journal.append("approval", body={"step": step, "decision": "Promote", "reason": "t"}, **who)
        journal.append("step_promoted", body={"step": step}, **who)
    return migration_id


@contextmanager
def asleep(home: Path, migration_id: str, where: str) -> Iterator[subprocess.Popen]:
    """A worker that has stopped at `where`; it is killed at the end if it still lives."""
    environment = {
        **os.environ,
        "BACKPACK_HOME": str(home),
        "BACKPACK_PLAN": str(PLAN_FILE),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    worker = subprocess.Popen(
        [sys.executable, sleepy_worker.__file__, migration_id, where],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually_sync(lambda: worker.poll() is not None or _is_stopped(worker.pid), 60)
        assert worker.poll() is None, worker.stderr and worker.stderr.read()
        yield worker
    finally:
        worker.kill()
        worker.wait()


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wake(worker: subprocess.Popen) -> str:
    """Let the worker go on to its end, and return its last words."""
    worker.send_signal(signal.SIGCONT)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 1, err
    return err


def refusals(journal: Journal) -> list[tuple[str, str, str, str]]:
    notes = [event for event in journal.events(kind="audit_note") if "error" in event.body]
    return [
        (note.actor, note.body["error"], note.body["step"], note.body["task_id"]) for note in notes
    ]


REFUSED = [("ann", "StaleEpoch", sleepy_worker.STEP, "advance")]


@pytest.mark.parametrize("where", ["act", "fence", "write", "stop"])
def test_supervisord_s_fleet_refuses_it(where: str):
    """Nor does it leave a file behind that brings native up at supervisord's next start."""
    with supervised_fleet(2, shadows=0) as running:
        journal = Journal(running.deployment.journal_url)
        spool, migration_id = Spool(running.deployment.spool_file), begun(journal)
        with asleep(running.home, migration_id, where) as worker:
            rollback.revert(running.fleet, journal, migration_id, "bob", "breach", spool=spool)
            rollback.verify(running.fleet, journal, migration_id, "bob", spool=spool)
            assert "this actor at 1" in wake(worker)
        eventually_sync(lambda: set(running.variants().values()) == {"ccxt"}, 20, running.variants)
        assert running.fleet.epoch() == journal.max_epoch()
        files = [conf_path(running.deployment, name).read_text() for name in running.variants()]
        assert all('CRYPTOFEED_BACKPACK_NATIVE="false"' in text for text in files)
        assert journal.state(migration_id).status == Status.ROLLED_BACK
        assert refusals(journal) == REFUSED
        assert journal.verify().ok


@pytest.mark.parametrize("where", ["act", "patch"])
def test_the_fleet_on_kubernetes_refuses_it(tmp_path: Path, where: str):
    """Its request carries the version that it had read, which is not the one that is there now."""
    with cluster_fleet(tmp_path, 2, 0) as running:
        journal = Journal(running.deployment.journal_url)
        spool, migration_id = Spool(running.deployment.spool_file), begun(journal)
        with asleep(tmp_path, migration_id, where) as worker:
            rollback.revert(running.fleet, journal, migration_id, "bob", "breach", spool=spool)
            assert "this actor at 1" in wake(worker)
        assert running.native() == set()
        assert refusals(journal) == REFUSED
        assert journal.verify().ok


def test_a_step_that_was_held_meanwhile_is_not_begun_by_it():
    """It slept before it wrote that the step begins: the hold stays, and nothing has moved."""
    with supervised_fleet(2, shadows=0) as running:
        journal = Journal(running.deployment.journal_url)
        migration_id = begun(journal)
        who = {"migration_id": migration_id, "actor": "bob"}
        with asleep(running.home, migration_id, "start") as worker:
            journal.append("step_started", body={"step": sleepy_worker.STEP, "run": "1"}, **who)
            journal.append("held", body={"step": sleepy_worker.STEP, "reason": "odd"}, **who)
            assert "is held" in wake(worker)
        assert journal.state(migration_id).status == Status.HELD
        assert set(running.variants().values()) == {"ccxt"}
        kinds = [event.kind for event in journal.events(migration_id)]
        assert (kinds.count("step_started"), kinds.count("act_intended")) == (1, 0)
        assert refusals(journal) == [("ann", "MigrationNotRunning", sleepy_worker.STEP, "advance")]
