"""As which step the guard watches an exposure: what the fleet is, not what it is about to become."""

import pytest

from feed_migration import cutover
from feed_migration.guard.follower import JournalFollower
from feed_migration.guard.process import exposing_step
from feed_migration.guard.watch import SETTLE_SECONDS
from feed_migration.phases import Status
from tests.support.asked_at_once import asked_at_once, passes
from tests.support.guard_stage import PLAN, STEP, Stage
from tests.support.migration_plans import gate

NEXT = "cutover-100"
# with a control group a series that is missing is a failure, not blindness
COUNTED = PLAN.replace("  success:", "  baseline_query: count(up)\n  success:", 1)


@pytest.fixture
def stage(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.support.guard_stage.PLAN", COUNTED)
    stage = Stage(tmp_path)
    stage.goes_to(STEP)
    return stage


@pytest.fixture
def prometheus(stage, monkeypatch):
    """What the guard asks, without a thread of its own; the fleet that it takes back is in memory."""
    return asked_at_once(stage, monkeypatch)


def promoted(stage, step=STEP):
    gate(stage.journal, stage.migration_id, step)
    cutover.promote(stage.plan.step(step), stage.plan, stage.journal, stage.migration_id, "ana")


def test_a_worker_lost_before_its_act_takes_no_healthy_fleet_back(stage, prometheus):
    """The step began and its worker died: half of the fleet is on native, and all of that is well."""
    guard = stage.guard()
    promoted(stage)
    stage.says("step_started", step=NEXT, run="1")
    passes(stage, guard, SETTLE_SECONDS + 60.0)
    assert prometheus.asked
    assert stage.journal.state(stage.migration_id).status is Status.RUNNING


@pytest.mark.parametrize("lost", [False, True])
def test_it_is_watched_meanwhile(stage, prometheus, lost):
    """A value that fails takes it back, and so does an instance that is gone."""
    guard = stage.guard()
    promoted(stage)
    stage.says("step_started", step=NEXT, run="1")
    passes(stage, guard, SETTLE_SECONDS + 5.0)
    if lost:
        stage.fleet.variant["feed-01"] = "ccxt"
    else:
        prometheus.value = 60.0
    passes(stage, guard, 20.0)
    assert stage.journal.state(stage.migration_id).status is Status.ROLLED_BACK


def test_once_the_act_is_confirmed_all_of_it_is_watched(stage, prometheus):
    """However quick it was: it is let settle, and one that is gone then is missed."""
    guard = stage.guard()
    promoted(stage)
    stage.says("step_started", step=NEXT, run="1")
    passes(stage, guard, SETTLE_SECONDS + 5.0)
    step = stage.plan.step(NEXT)
    cutover.advance(step, stage.plan, stage.fleet, stage.journal, stage.migration_id, "ana")
    asked = prometheus.asked
    passes(stage, guard, SETTLE_SECONDS - 1.0)
    assert prometheus.asked == asked
    stage.fleet.variant["feed-03"] = "ccxt"
    passes(stage, guard, 20.0)
    assert stage.journal.state(stage.migration_id).status is Status.ROLLED_BACK


def exposing(stage):
    known = JournalFollower(stage.journal).read()
    step = exposing_step(stage.plan, known)
    return step and step.name


def test_an_act_that_was_cut_short_is_watched_as_the_one_before_it(stage):
    """It may have moved more by then, never less; the first one leaves nothing that could be asked."""
    promoted(stage)
    body = {"act": "set_variant", "variant": "native", "instances": ["feed-02"], "step": NEXT}
    stage.says("act_intended", **body)
    assert exposing(stage) == STEP
    stage.says("act_confirmed", **body)
    assert exposing(stage) == NEXT


def test_before_the_first_act_is_confirmed_there_is_nothing_to_watch_it_as(tmp_path):
    """What the shadows' gate asks is not of the fleet."""
    stage = Stage(tmp_path)
    stage.goes_to("shadow")
    promoted(stage, "shadow")
    body = {"act": "set_variant", "variant": "native", "instances": ["feed-00"], "step": STEP}
    stage.says("act_intended", **body)
    assert exposing(stage) is None


def test_a_gate_that_has_begun_is_watched_as_itself(stage):
    """Also one that is run again, when more of the fleet is exposed by now."""
    promoted(stage)
    stage.says("step_started", step=NEXT, run="1", started_unix=1.0)
    assert exposing(stage) == NEXT


def test_behind_the_last_act_it_is_watched_by_the_step_that_it_is_at(stage):
    """The long watch moves nothing, and the report has no gate."""
    stage.goes_to("stabilisation")
    assert exposing(stage) == NEXT
    stage.says("step_started", step="stabilisation", run="1")
    assert exposing(stage) == "stabilisation"
    stage.says("step_started", step="post_migration", run="1")
    assert exposing(stage) == "stabilisation"
