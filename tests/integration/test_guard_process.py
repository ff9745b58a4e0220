"""The guard as a process: a real fleet, a real Prometheus, and everything else dead in turn."""

import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
import requests

from feed_migration import cutover
from feed_migration.gates.record import join_gate
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from feed_migration.plan.reader import load_plan
from tests.support.conditions import eventually_sync
from tests.support.guard_process import QUICK_PLAN, GuardProcess, guarding
from tests.support.lost_journal import away
from tests.support.prometheus_server import scraped

STEP = "cutover-50"
EXPOSED = ("feed-00", "feed-01")
SLOW_PLAN = QUICK_PLAN.replace("{interval: 1s", "{interval: 3s").replace("5s}", "20s}")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """A real Prometheus, and the target it scrapes."""
    with scraped(tmp_path_factory.mktemp("prometheus")) as pair:
        yield pair


@pytest.fixture
def plan_path(tmp_path, request):
    path = tmp_path / "plan.yaml"
    path.write_text(getattr(request, "param", QUICK_PLAN))
    return path


@pytest.fixture
def journal(running):
    shutil.rmtree(running.deployment.guard_folder, ignore_errors=True)
    return Journal(running.deployment.journal_url)


@pytest.fixture
def exposed(running, journal, plan_path):
    """A migration at 50 %: two of four real instances on native, its gate not yet begun."""
    plan = load_plan(plan_path)
    migration_id = journal.begin_migration(plan.name, plan.sha256, "ana", steps=plan.steps)
    for step in plan.steps:
        if step.name == STEP:
            break
        if step.gate is not None:
            body = {"step": step.name, "run": "1", "decision": "Promote", "at_seconds": 1.0}
            said = {**body, "reasons": []}
            journal.append("verdict", migration_id=migration_id, actor="gate", body=said)
        cutover.promote(step, plan, journal, migration_id, "ana")
    cutover.advance(plan.step(STEP), plan, running.fleet, journal, migration_id, "ana")
    assert natives(running) == EXPOSED
    return migration_id


@pytest.fixture
def guard(running, plan_path, metrics):
    with guarding(running.home, plan_path, metrics[0].url) as process:
        yield process


def natives(running):
    return tuple(name for name, variant in running.variants().items() if variant == "native")


def say(metrics, seconds):
    """Let the exposed instances report an age, and wait until Prometheus has it."""
    prometheus, target = metrics
    for name in EXPOSED:
        target.age.labels(name, "native", "SOL-USDC").set(seconds)
    query = f'count(backpack_feed_symbol_snapshot_age_seconds{{variant="native"}} == {seconds})'
    eventually_sync(lambda: prometheus.query(query), 20)


def begin_gate(journal, migration_id):
    return join_gate(
        journal,
        migration_id=migration_id,
        step=STEP,
        key="run#0",
        actor="ana",
        started_unix=time.time() + 0.5,
    )


def back(running, journal, migration_id, guard, seconds=40):
    """Wait for the journal's word, then look at the instances themselves."""
    eventually_sync(
        lambda: journal.state(migration_id).status is Status.ROLLED_BACK,
        seconds,
        lambda: (journal.state(migration_id), guard.log),
    )
    assert natives(running) == ()


def reason(journal, migration_id):
    (event, *_) = journal.events(migration_id, "rollback_started")
    assert event.actor.startswith("guard:")
    return event.body["reason"]


def test_a_rollback_verdict_is_enforced_without_airflow(running, journal, exposed, guard):
    """Reverted, verified, documented; afterwards the guard is at rest."""
    gate = {"step": STEP, "run": "1", "decision": "Rollback", "at_seconds": 3.0, "reasons": []}
    journal.append("verdict", migration_id=exposed, actor="gate", body=gate)

    back(running, journal, exposed, guard)

    assert reason(journal, exposed) == f"gate {STEP}: Rollback at 3 s: no reason"
    eventually_sync(lambda: journal.events(exposed, "incident_documented"))
    assert f"guard:{os.uname().nodename}" in running.deployment.incidents_file.read_text()
    eventually_sync(lambda: guard.health()["exposed"] == 0)
    assert guard.health()["reverts"] == 1
    assert journal.verify().ok


def test_an_exposure_whose_lease_expires_is_taken_back(running, journal, exposed, guard):
    """As when every part of Airflow died between the act and the gate."""
    journal.renew_lease(exposed, holder=f"gate {STEP}", seconds=2.0)
    back(running, journal, exposed, guard)
    assert reason(journal, exposed).startswith(f"the lease of {STEP} has expired: gate {STEP} was")


def test_an_exposure_whose_lease_is_renewed_stays(running, journal, exposed, guard):
    """Longer than it lasts, each time renewed before its end."""
    for _ in range(4):
        journal.renew_lease(exposed, holder=f"gate {STEP}", seconds=8.0)
        eventually_sync(lambda: 0 < guard.health()["lease_left_seconds"] < 5.0)
    assert natives(running) == EXPOSED
    assert journal.state(exposed).status is Status.RUNNING


def test_with_airflow_dead_the_guard_asks_the_gate_and_finds_the_breach(
    running, journal, exposed, guard, metrics
):
    """In the gate's own run: its measurements, its verdict, and nothing promoted meanwhile."""
    say(metrics, 0.5)
    start = begin_gate(journal, exposed)
    eventually_sync(lambda: len(journal.measurements(exposed, STEP, start.run)) >= 2, 20)
    eventually_sync(lambda: guard.health()["watching"])
    assert natives(running) == EXPOSED

    say(metrics, 60.0)
    back(running, journal, exposed, guard)

    (verdict,) = [e for e in journal.events(exposed, "verdict") if e.body["step"] == STEP]
    assert (verdict.body["decision"], verdict.body["run"]) == ("Rollback", start.run)
    assert verdict.actor.startswith("guard:")
    assert "stale 60 on instance_id=feed-0" in reason(journal, exposed)


# so slow that a machine that stands still for a second makes no tick late
@pytest.mark.parametrize("plan_path", [SLOW_PLAN], indirect=True, ids=["3 s"])
def test_a_gate_that_somebody_asks_is_left_to_them(running, journal, exposed, guard, metrics):
    """Ticks that are in time are Airflow's; the guard asks none of them."""
    from feed_migration.gates.run import GateRun
    from feed_migration.prometheus.client import PrometheusSource

    say(metrics, 0.5)
    start = begin_gate(journal, exposed)
    plan = load_plan(Path(guard.process.args[4]))
    gate_run = GateRun(
        gate=plan.step(STEP).gate,
        step_name=STEP,
        migration_id=exposed,
        started_unix=start.started_unix,
        fleet_size=2,
        source=PrometheusSource(metrics[0].url),
        journal=journal,
        run=start.run,
    )

    def ticked():
        gate_run.tick(time.time())
        return len(journal.measurements(exposed, STEP, start.run)) >= 3

    eventually_sync(ticked, 60)
    assert not guard.health()["watching"]
    assert not [line for line in guard.log if "nobody asks" in line]
    assert natives(running) == EXPOSED


def test_with_the_database_gone_too_it_acts_alone_and_tells_later(
    running, journal, exposed, guard, metrics
):
    """Airflow dead, journal away: breach found and reverted; the journal learns it afterwards."""
    say(metrics, 0.5)
    begin_gate(journal, exposed)
    eventually_sync(lambda: guard.health()["watching"], 20)
    with away(running.home / "journal.db"):
        eventually_sync(lambda: guard.health()["journal_silent_seconds"] > 0, 20)
        say(metrics, 60.0)
        eventually_sync(lambda: natives(running) == (), 40, lambda: guard.log)
        eventually_sync(lambda: guard.health()["reverts"] == 1, 40, lambda: guard.log)
    eventually_sync(lambda: guard.health()["journal_silent_seconds"] == 0, 20)

    back(running, journal, exposed, guard)
    assert "stale 60 on" in reason(journal, exposed)
    assert guard.health()["reverts"] == 1
    assert journal.verify().ok


def test_with_the_write_lock_held_by_a_stopped_process_it_acts_all_the_same(
    running, journal, exposed, guard, metrics
):
    """As of an Airflow that was frozen in the middle of a transaction: reading goes on, writing waits."""
    say(metrics, 0.5)
    begin_gate(journal, exposed)
    eventually_sync(lambda: guard.health()["watching"], 20)
    database = running.home / "journal.db"
    with closing(sqlite3.connect(database, timeout=10, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        say(metrics, 60.0)
        eventually_sync(lambda: natives(running) == (), 60, lambda: guard.log)
        eventually_sync(lambda: guard.health()["reverts"] >= 1, 60, lambda: guard.log)
        holder.execute("ROLLBACK")
    eventually_sync(lambda: journal.state(exposed).status is Status.ROLLED_BACK, 30)
    assert "stale 60 on" in reason(journal, exposed)
    assert journal.verify().ok


def test_a_silent_journal_takes_the_fleet_back_after_the_blind_limit(
    running, journal, exposed, metrics, plan_path
):
    """Also for a guard that starts while it is silent: it knows the exposure from its copy."""
    say(metrics, 0.5)
    begin_gate(journal, exposed)
    with guarding(running.home, plan_path, metrics[0].url) as first:
        eventually_sync((running.deployment.guard_folder / "plan.yaml").exists)
        eventually_sync((running.deployment.guard_folder / "known.json").exists)
        first.kill()
    with (
        away(running.home / "journal.db"),
        guarding(running.home, plan_path, metrics[0].url) as second,
    ):
        eventually_sync(lambda: natives(running) == (), 40, lambda: second.log)
        eventually_sync(lambda: second.health()["reverts"] == 1, 40, lambda: second.log)
    journal = Journal(running.deployment.journal_url)
    assert journal.state(exposed).status is Status.ROLLED_BACK
    assert "the journal has been silent for" in reason(journal, exposed)


def test_an_empty_journal_in_the_place_of_the_old_one_is_not_believed(
    running, journal, exposed, metrics, plan_path
):
    """A lost file, or another database: what the guard knows to be exposed was not undone by it."""
    with guarding(running.home, plan_path, metrics[0].url) as first:
        eventually_sync((running.deployment.guard_folder / "known.json").exists)
        first.kill()
    for path in running.home.glob("journal.db*"):
        path.unlink()
    with guarding(running.home, plan_path, metrics[0].url) as second:
        eventually_sync(lambda: second.health()["reverts"] == 1, 40, lambda: second.log)
    assert natives(running) == ()
    assert any("does not know" in line for line in second.log)


def test_a_guard_killed_in_its_rollback_goes_on_with_it(
    running, journal, exposed, metrics, plan_path
):
    """Kill -9 as soon as the journal has its first word; the next one needs no other's silence."""
    with guarding(running.home, plan_path, metrics[0].url) as first:
        journal.renew_lease(exposed, holder="x", seconds=0.3)
        eventually_sync(lambda: journal.events(exposed, "rollback_started"), 20)
        first.kill()
    with guarding(running.home, plan_path, metrics[0].url) as second:
        back(running, journal, exposed, second)
    assert journal.verify().ok


def test_with_supervisord_down_it_tries_on_until_the_fleet_is_back(
    running, journal, exposed, guard
):
    """The flags are back at once; what starts is ccxt, and then it is verified."""
    running.supervisord.kill()
    running.supervisord.wait()
    for pid in running.pids().values():
        if pid:
            os.kill(pid, signal.SIGKILL)
    journal.renew_lease(exposed, holder="x", seconds=0.3)
    eventually_sync(lambda: guard.health()["failed_reverts"] >= 1, 40, lambda: guard.log)
    flags = [path.read_text() for path in (running.home / "fleet.d").glob("feed-*.conf")]
    assert len(flags) == 4
    assert all('CRYPTOFEED_BACKPACK_NATIVE="false"' in flag for flag in flags)
    (running.home / "supervisor.sock").unlink(missing_ok=True)
    running.start()
    back(running, journal, exposed, guard)


def test_a_state_directory_that_takes_nothing_keeps_no_guard_away(
    running, journal, exposed, metrics, plan_path
):
    """As on a disk that turned read-only: no lock and no copies, told of once, and the way back."""
    folder = running.deployment.guard_folder
    folder.write_text("no folder")
    try:
        with guarding(running.home, plan_path, metrics[0].url) as guard:
            journal.renew_lease(exposed, holder="x", seconds=0.3)
            back(running, journal, exposed, guard)
            assert len([line for line in guard.log if "known.json cannot be written" in line]) == 1
    finally:
        folder.unlink()


def test_a_second_guard_is_refused(running, guard, plan_path, metrics):
    """One line, exit 1, and the first goes on."""
    second = GuardProcess(running.home, plan_path, metrics[0].url)
    assert second.wait() == 1
    assert len(second.log) == 1
    assert "another guard runs" in second.log[0]
    assert guard.end() == 0


def test_it_says_how_it_is(running, journal, exposed, guard):
    """For Prometheus with its prefix, for people and the preflight as JSON."""
    health = eventually_sync(lambda: (now := guard.health())["exposed"] == 2 and now)
    assert (health["alive"], health["reverting"]) == (True, False)
    assert health["lease_left_seconds"] > 60
    text = requests.get(f"{guard.url}/metrics", timeout=5).text
    assert "feed_migration_guard_exposed_instances 2.0\n" in text
    assert "# TYPE feed_migration_guard_reverts_total counter\n" in text
    assert requests.get(f"{guard.url}/else", timeout=5).status_code == 404
