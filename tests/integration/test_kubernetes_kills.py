"""The driver dies before or after every single request: the fleet ends before or after."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from feed_migration import cutover, rollback
from feed_migration.errors import Refused
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.conditions import eventually_sync
from tests.support.kubernetes_fleet import cluster_fleet
from tests.support.memory_fleet import Killed
from tests.support.migration_plans import PLAN, approve, begin, gate, pass_steps

COMMAND = ["-c", "from feed_migration.cli.app import main; main()", "rollback"]
REPOSITORY = Path(__file__).resolve().parents[2]


class Deadly:
    """A driver's way to the API server that ends the process before its `at`-th request.

    That is after the one before, too: between two requests nothing outside the process changes.
    """

    def __init__(self, api, at):
        self._api, self._left = api, at

    def __getattr__(self, name):
        request = getattr(self._api, name)

        def call(*arguments, **more):
            self._left -= 1
            if self._left == 0:
                raise Killed
            return request(*arguments, **more)

        return call


def deadly(running, at):
    """A driver in another process that is killed before its `at`-th request."""
    fleet = running.another()
    api = Deadly(fleet._api, at)
    for part in (fleet, fleet._fence, fleet._handlers, fleet._shadow_pods, fleet._view):
        part._api = api
    return fleet


def kill_everywhere(running, act, check):
    """Run `act` with a driver killed at request 1, 2, 3 … until one lives; returns how many died."""
    for at in range(1, 200):
        try:
            act(deadly(running, at))
        except Killed:
            check()
        else:
            return at - 1
    raise AssertionError("it never came to an end")


@pytest.fixture
def running(tmp_path):
    with cluster_fleet(tmp_path, max_unavailable=4) as fleet:
        # few polls, so few points to die at that differ
        fleet.cluster.start_seconds = fleet.cluster.stop_seconds = 0.2
        yield fleet


def test_a_step_killed_at_any_request_ends_before_or_after(running):
    """And the next attempt completes it; nobody else is touched."""
    names = running.ids
    step, epoch = set(names[:2]), 0

    def check():
        running.settle()
        assert running.native() in (set(), step)
        running.fleet.set_variant(names[:2], "native", epoch=epoch)
        running.fleet.wait_ready(names[:2], "native", 60)
        assert running.native() == step
        start()

    def start():
        nonlocal epoch
        epoch += 2
        running.fleet.set_variant(names, "ccxt", epoch=epoch - 1)
        running.fleet.wait_ready(names, "ccxt", 60)
        running.settle()

    start()
    points = kill_everywhere(
        running, lambda fleet: fleet.set_variant(names[:2], "native", epoch=epoch), check
    )
    assert points >= 6


@pytest.mark.parametrize(("percent", "broken"), [(50, False), (50, True), (100, True)])
def test_a_way_back_killed_at_any_request_is_completed_by_the_next(
    tmp_path, running, percent, broken
):
    """From every step, also when no native pod ever becomes ready."""
    names, journal = running.ids, Journal(tmp_path / "journal.db")
    spool = Spool(tmp_path / "journal.spool.jsonl")
    exposed = cutover.ramp(percent, names)
    migration_id = begin(journal)
    if broken:
        running.cluster.never_ready |= dict.fromkeys(exposed, "native")
    running.fleet.set_variant(exposed, "native", epoch=1)

    def revert(fleet):
        rollback.revert(fleet, journal, migration_id, "ana", "r", spool=spool)

    def check():
        revert(running.fleet)
        running.settle()
        assert running.native() == set()
        # as before the first attempt, with an epoch above it
        running.fleet.set_variant(exposed, "native", epoch=running.fleet.epoch())

    assert kill_everywhere(running, revert, check) >= 5
    running.settle()
    assert running.native() == set()
    rollback.verify(running.fleet, journal, migration_id, "ana", spool=spool)
    assert journal.state(migration_id).status is Status.ROLLED_BACK


@pytest.fixture
def exposed(tmp_path, running):
    """A migration at 50 % whose gate has just said Rollback."""
    journal = Journal(running.deployment.journal_url)
    migration_id = begin(journal)
    pass_steps(journal, running.fleet, migration_id, until="cutover-50")
    approve(journal, migration_id, "cutover-50")
    cutover.advance(PLAN.step("cutover-50"), PLAN, running.fleet, journal, migration_id, "ana")
    gate(journal, migration_id, "cutover-50", "Rollback")
    return journal, migration_id


def command(tmp_path):
    environment = {
        **os.environ,
        "BACKPACK_HOME": str(tmp_path),
        "PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}",
    }
    return subprocess.Popen(
        [sys.executable, *COMMAND],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("act", ["patch", "delete"])
def test_the_command_killed_at_a_write_is_completed_by_the_next(tmp_path, running, exposed, act):
    """A real SIGKILL as the request arrives; then the same command again, with the kubeconfig."""
    journal, migration_id = exposed
    killed = threading.Event()

    def kill(name):
        if name.startswith(act) and not killed.is_set():
            victim.kill()
            killed.set()

    # as slow as a real controller: what it has replaced by itself needs no deletion
    with running.clock(speed=1):
        running.server.api.before_act = kill
        victim = command(tmp_path)
        eventually_sync(killed.is_set, 30)
        victim.communicate(timeout=30)
        assert victim.returncode == -signal.SIGKILL
        again = command(tmp_path)
        out, err = again.communicate(timeout=50)

    assert (again.returncode, err) == (0, "")
    assert "rolled back: 4 instances on ccxt with data flowing" in out
    assert running.native() == set()
    assert journal.state(migration_id).status is Status.ROLLED_BACK
    assert journal.verify().ok


def test_a_worker_that_wakes_up_after_the_way_back_changes_nothing(running, exposed, tmp_path):
    """It was stopped between its check and its write, at any request."""
    journal, migration_id = exposed
    stale = journal.state(migration_id).epoch
    rollback.revert(
        running.fleet, journal, migration_id, "ana", "r", spool=Spool(tmp_path / "spool")
    )
    with suppress(Refused):
        running.another().set_variant(running.ids, "native", epoch=stale)
    running.settle()
    assert running.native() == set()
