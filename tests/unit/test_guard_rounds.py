"""The guard's rounds over a real journal, with its clocks in the test's hand and no fleet to reach.

A rollback that it begins is a failed try here, since no supervisor answers.
"""

import pytest

from feed_migration.errors import JournalUnavailable
from feed_migration.gates.record import join_gate
from feed_migration.guard.process import watched_step
from feed_migration.guard.reading import START_SECONDS
from feed_migration.guard.reverting import RETRY_SECONDS, TOLD_TRIES
from feed_migration.journal.store import Journal
from feed_migration.lease import HANDOVER_SECONDS
from tests.support.guard_stage import BLIND_LIMIT_SECONDS, STEP, Stage


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def test_a_guard_that_was_stopped_in_the_middle_of_a_round_asks_again(stage, monkeypatch):
    """SIGSTOP between its question and its decision: what it knows is old, not the lease."""
    stage.goes_to(STEP)
    guard, ask = stage.guard(), Journal.lease
    guard.poll()

    def stopped(journal, migration_id):
        lease = ask(journal, migration_id)
        stage.clock.passes(3600.0)
        stage.journal.renew_lease(migration_id, holder="gate", seconds=60.0)
        return lease

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "lease", stopped)
        guard.poll()
    guard.poll()
    assert guard.health.failed_reverts == 0
    assert guard.health.lease_left_seconds == 60.0


def test_a_step_without_a_gate_is_watched_by_the_gate_before_it(stage):
    """The report is all that is left, and may be for long; what is exposed stays watched."""
    assert watched_step(stage.plan, "post_migration").name == "stabilisation"
    assert watched_step(stage.plan, STEP).name == STEP
    assert watched_step(stage.plan, "preflight").gate is None


@pytest.mark.parametrize("ahead_seconds", [-3600.0, 0.0, 3600.0])
def test_a_guard_that_starts_again_goes_by_its_own_clock(stage, ahead_seconds):
    """Airflow's may be an hour off: neither ends that a good lease, nor makes a dead one last."""
    stage.goes_to(STEP)
    stage.guard().poll()
    airflow = Journal(stage.deployment.journal_url, clock=lambda: stage.clock.unix + ahead_seconds)
    airflow.renew_lease(stage.migration_id, holder="gate", seconds=60.0)
    for left in (60.0, 35.0, 10.0):
        guard = stage.guard()
        guard.poll()
        assert guard.health.lease_left_seconds == pytest.approx(left, abs=1.0)
        stage.clock.passes(25.0)
    guard = stage.guard()
    guard.poll()
    assert guard.health.failed_reverts == 1


def test_a_proven_fleet_has_no_lease_that_could_run_out(stage):
    """While its consumers are asked for a day: nobody renews one, and nothing goes back for it."""
    stage.goes_to("post_migration")
    for guard in (stage.guard(), stage.guard()):
        for passed in (0.0, HANDOVER_SECONDS + 1, 86_400.0):
            stage.clock.passes(passed)
            guard.poll()
            assert guard.health.lease_left_seconds is None
            assert guard.health.exposed == 4
            assert guard.health.failed_reverts == 0


def test_a_gate_that_judges_a_proven_fleet_anew_has_a_lease_again(stage):
    """Cleared after its Promote it proves nothing until it has another."""
    stage.goes_to("post_migration")
    guard = stage.guard()
    guard.poll()
    stage.clock.passes(86_400.0)
    stage.journal.renew_lease(stage.migration_id, holder="gate", seconds=HANDOVER_SECONDS)
    stage.says("step_started", step="stabilisation", run="2")
    guard.poll()
    assert guard.health.lease_left_seconds == HANDOVER_SECONDS
    assert guard.health.failed_reverts == 0


def test_an_exposure_is_in_the_copy_as_soon_as_it_is_known(stage):
    """Guard and journal may both be gone a second later."""
    guard = stage.guard()
    guard.poll()
    stage.goes_to(STEP)
    stage.clock.passes(0.5)
    guard.poll()
    stage.journal_goes_away()
    after = stage.guard()
    after.poll()
    assert after.health.exposed == 2


def test_a_guard_that_was_stopped_while_it_asked_does_not_call_that_silence(stage, monkeypatch):
    """The server has cut it off meanwhile, so the question fails once, an hour late."""
    stage.goes_to(STEP)
    guard = stage.guard()
    guard.poll()

    def cut_off(*_, **__):
        stage.clock.passes(3600.0)
        raise JournalUnavailable("the connection was closed", "repeat")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "events", cut_off)
        guard.poll()
    assert guard.health.failed_reverts == 0
    assert 0 < guard.health.journal_silent_seconds <= BLIND_LIMIT_SECONDS


def test_a_guard_that_starts_before_the_database_gives_it_time(stage):
    """The host was off for an hour; a journal that then stays away is silent since the copy."""
    stage.goes_to(STEP)
    stage.guard().poll()
    stage.clock.passes(3600.0)
    stage.journal_goes_away()
    guard = stage.guard()
    for _ in range(int(START_SECONDS) - 1):
        guard.poll()
        stage.clock.passes(1.0)
    assert guard.health.failed_reverts == 0
    stage.clock.passes(1.0)
    guard.poll()
    assert guard.health.failed_reverts == 1
    assert guard.health.journal_silent_seconds > 3600.0


TRIED = ("set_variant", "intended")


def tried(stage, guard, times):
    """Let the lease run out, and a rollback fail that often."""
    stage.goes_to(STEP)
    stage.journal.renew_lease(stage.migration_id, holder="gate", seconds=1.0)
    guard.poll()
    while guard.health.failed_reverts < times:
        stage.clock.passes(RETRY_SECONDS[-1])
        guard.poll()


def test_a_rollback_that_does_not_get_there_for_a_night_fills_no_journal(stage, caplog):
    """An instance that never comes up: begun once, tried on, told of ever more rarely."""
    tried(stage, stage.guard(), 300)
    assert len(stage.journal.events(stage.migration_id, "rollback_started")) == 1
    acts = stage.journal.events(stage.migration_id, "rollback_act")
    tries = [act for act in acts if (act.body["act"], act.body["state"]) == TRIED]
    assert TOLD_TRIES <= len(tries) <= 12
    assert len(stage.journal.events(stage.migration_id)) < 100
    assert caplog.text.count("not back on ccxt yet") == len(tries)


def test_a_rollback_that_has_begun_goes_on_when_the_journal_goes_away(stage):
    """Also by the next guard, from its copy: neither waits for a blind limit."""
    guard = stage.guard()
    tried(stage, guard, 1)
    stage.journal_goes_away()
    for one in (guard, stage.guard()):
        before = one.health.failed_reverts
        stage.clock.passes(RETRY_SECONDS[-1])
        one.poll()
        assert one.health.failed_reverts == before + 1


def test_nor_does_it_fill_the_disk_while_the_journal_is_away(stage):
    """The spool is as short."""
    guard = stage.guard()
    tried(stage, guard, 1)
    stage.journal_goes_away()
    for _ in range(300):
        stage.clock.passes(RETRY_SECONDS[-1])
        guard.poll()
    assert guard.health.failed_reverts > 290
    assert len(stage.deployment.spool_file.read_text().splitlines()) < 100


def taken_back(stage):
    """Let the whole fleet be verified on ccxt, by somebody else."""
    body = {"reason": "breach", "epoch": 7, "breach_at": 1.0, "instances": {}, "logs": {}}
    stage.says("rollback_started", **body)
    stage.says("rollback_verified", instances=dict.fromkeys(stage.fleet.variant, "ccxt"))


def test_an_act_that_comes_after_a_verified_rollback_is_seen_and_taken_back(stage):
    """Its instances count as nobody's, so that more than those run native; and the guard goes."""
    stage.goes_to(STEP)
    taken_back(stage)
    guard = stage.guard()
    guard.poll()
    assert (guard.health.failed_reverts, guard.health.exposed) == (0, 0)

    late = {"act": "set_variant", "step": STEP, "variant": "native", "instances": ["feed-01"]}
    stage.says("act_confirmed", **late)
    guard.poll()
    assert (guard.health.failed_reverts, guard.health.exposed) == (1, 0)
    (_, again) = stage.journal.events(stage.migration_id, "rollback_started")
    assert again.body["reason"] == "exposed after the rollback was verified: feed-01"


def test_a_hold_that_is_resumed_after_hours_is_not_an_expired_lease(stage):
    """Nobody renews one during a hold; who starts the gate again has one from that moment on."""
    stage.goes_to(STEP)
    guard = stage.guard()
    guard.poll()
    stage.says("held", step=STEP, reason="not proven in time")
    guard.poll()
    stage.clock.passes(6 * 3600.0)
    join_gate(
        stage.journal,
        migration_id=stage.migration_id,
        step=STEP,
        key="run#1",
        actor="ana",
        started_unix=stage.clock.unix + 5.0,
    )
    for one in (guard, stage.guard()):
        one.poll()
        assert one.health.failed_reverts == 0
        assert one.health.lease_left_seconds == HANDOVER_SECONDS
