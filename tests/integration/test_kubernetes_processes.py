"""KubernetesFleet with pods that are real processes, in real time."""

import os
import signal
import time

import pytest

from feed_migration import rollback
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from tests.support.conditions import eventually_sync
from tests.support.kubernetes_processes import process_fleet
from tests.support.migration_plans import begin, pass_steps

SIZE = 5


@pytest.fixture
def made(tmp_path):
    with process_fleet(tmp_path, SIZE) as both:
        yield both


def test_a_ramp_and_the_way_back_with_real_processes(tmp_path, made):
    """No two processes of one name ever live at once, and all are verified back with data."""
    running, cluster = made
    journal = Journal(tmp_path / "journal.db")
    spool = Spool(tmp_path / "journal.spool.jsonl")
    migration_id = begin(journal)
    pass_steps(journal, running.fleet, migration_id, until="stabilisation")
    assert len(running.native()) == SIZE

    began = time.monotonic()
    rollback.revert(running.fleet, journal, migration_id, "ana", "breach", spool=spool)
    proof = rollback.verify(running.fleet, journal, migration_id, "ana", spool=spool)

    assert set(proof.instances.values()) == {"ccxt"}
    assert time.monotonic() - began < 40
    assert cluster.overlaps == []


def test_a_killed_process_comes_back_in_its_own_variant(made):
    """A container that is restarted keeps the flag of its pod."""
    running, cluster = made
    name = running.ids[0]
    running.fleet.set_variant([name], "native", epoch=1)
    running.fleet.wait_ready([name], "native", 20)
    old = cluster.processes[name].pid

    os.kill(old, signal.SIGKILL)
    eventually_sync(lambda: cluster.processes[name].pid != old)

    running.fleet.wait_ready([name], "native", 20)
    assert running.native() == {name}
    assert cluster.overlaps == []
