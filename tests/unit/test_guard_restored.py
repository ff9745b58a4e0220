"""A journal that has gone back in time: a backup, or a standby that lagged when it took over.

What the guard knows to be exposed was not undone by it, whatever it says now.
"""

import pytest

from feed_migration import cutover
from tests.support.guard_stage import BLIND_LIMIT_SECONDS, STEP, Stage
from tests.support.migration_plans import gate

BEFORE = "shadow"


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def lost_the_act(stage, guard):
    """Expose half of the fleet before the eyes of `guard`, in a journal that then forgets it.

    Returns the journal that it was.
    """
    stage.goes_to(BEFORE)
    gate(stage.journal, stage.migration_id, BEFORE)
    backup = stage.back_up()
    step = stage.plan.step(BEFORE)
    cutover.promote(step, stage.plan, stage.journal, stage.migration_id, "ana")
    act(stage)
    guard.poll()
    assert guard.health.exposed == 2
    newer = stage.back_up()
    stage.restore(backup)
    return newer


def act(stage):
    step = stage.plan.step(STEP)
    cutover.advance(step, stage.plan, stage.fleet, stage.journal, stage.migration_id, "ana")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_journal_that_lost_the_act_is_not_believed(stage, restarted, caplog):
    """As one that is away: it goes by its copy, and takes back after the blind limit."""
    guard = stage.guard()
    lost_the_act(stage, guard)
    guard = stage.guard() if restarted else guard
    for passed in range(0, int(BLIND_LIMIT_SECONDS), 2):
        guard.poll()
        assert (guard.health.exposed, guard.health.failed_reverts) == (2, 0), passed
        assert guard.health.journal_silent_seconds > 0
        stage.clock.passes(2.0)
    lost = f"does not know that {stage.migration_id} may have exposed feed-00, feed-01:"
    assert caplog.text.count(lost) == 1
    for _ in range(3):
        stage.clock.passes(2.0)
        guard.poll()
    assert guard.health.failed_reverts >= 1


def test_the_copy_outlives_a_journal_that_is_not_believed(stage):
    """What is not believed is not written over what is known, whoever reads it next."""
    guard = stage.guard()
    lost_the_act(stage, guard)
    for _ in range(5):
        guard.poll()
        stage.clock.passes(5.0)
    stage.journal_goes_away()
    after = stage.guard()
    after.poll()
    assert after.health.exposed == 2


def test_the_act_done_again_makes_it_believed(stage):
    """By a person who has put the fleet back: from its intent on, the journal tells of it itself."""
    guard = stage.guard()
    lost_the_act(stage, guard)
    guard.poll()
    stage.fleet.set_variant(stage.fleet.native, "ccxt", epoch=1)
    step = stage.plan.step(BEFORE)
    stage.journal.acknowledge_restore("ana", "the disk was lost")
    cutover.promote(step, stage.plan, stage.journal, stage.migration_id, "ana")
    act(stage)
    guard.poll()
    assert guard.health.journal_silent_seconds == 0
    assert (guard.health.exposed, guard.health.watching) == (2, False)
    assert guard.health.lease_left_seconds > BLIND_LIMIT_SECONDS


def test_a_rollback_that_is_verified_in_it_makes_it_believed(stage):
    """By a person who has found the fleet exposed; the guard has nothing to take back then."""
    guard = stage.guard()
    lost_the_act(stage, guard)
    guard.poll()
    stage.says("rollback_started", epoch=9, reason="the journal was restored")
    stage.says("rollback_verified", instances={})
    guard.poll()
    assert (guard.health.exposed, guard.health.journal_silent_seconds) == (0, 0)
    stage.clock.passes(86400.0)
    guard.poll()
    assert guard.health.failed_reverts == 0


def test_the_newer_journal_is_believed_once_it_is_back(stage):
    """The primary comes back, or a better backup is found: nothing had to be taken back."""
    guard = stage.guard()
    newer = lost_the_act(stage, guard)
    guard.poll()
    assert guard.health.journal_silent_seconds > 0
    stage.restore(newer)
    guard.poll()
    assert (guard.health.exposed, guard.health.failed_reverts) == (2, 0)


def test_a_journal_that_lost_only_what_came_after_the_act_is_believed(stage):
    """It says what is exposed, so its leases and verdicts count."""
    stage.goes_to(STEP)
    backup = stage.back_up()
    stage.says("held", step=STEP, reason="not proven in time")
    guard = stage.guard()
    guard.poll()
    stage.restore(backup)
    guard.poll()
    assert (guard.health.exposed, guard.health.journal_silent_seconds) == (2, 0)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_rollback_under_way_goes_on_although_the_journal_lost_its_beginning(stage, restarted):
    """A person has asked for it: its silence is counted on, in a journal that can be written."""
    stage.goes_to(STEP)
    stage.says("held", step=STEP, reason="not proven in time")
    backup = stage.back_up()
    stage.says("rollback_started", epoch=9, reason="by hand")
    guard = stage.guard()
    guard.poll()
    stage.restore(backup)
    guard = stage.guard() if restarted else guard
    guard.poll()
    assert guard.health.failed_reverts == 0
    stage.clock.passes(21.0)
    guard.poll()
    assert guard.health.failed_reverts == 1
    assert guard.health.journal_silent_seconds == 0
    (begun,) = stage.journal.events(stage.migration_id, "rollback_started")
    assert begun.actor == "guard:here"
