"""A forward step acts only behind proof, and ends in before or after."""

from dataclasses import replace

import pytest

from feed_migration import cutover
from feed_migration.errors import (
    ApprovalMissing,
    GateNotPassed,
    MigrationActive,
    MigrationNotRunning,
    NotReady,
    PlanChanged,
    StaleEpoch,
)
from feed_migration.journal.store import Journal
from tests.support.memory_fleet import Killed, MemoryFleet
from tests.support.migration_plans import PLAN, approve, begin, gate, pass_steps


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def fleet():
    return MemoryFleet()


def advance(step, fleet, journal, migration_id, plan=PLAN):
    return cutover.advance(plan.step(step), plan, fleet, journal, migration_id, "ana")


def kinds(journal, migration_id):
    return [event.kind for event in journal.events(migration_id)]


def test_the_ramp_is_a_growing_prefix_rounded_up():
    """10 % of 25 instances are 3, and a later step contains the earlier one."""
    names = [f"feed-{i:02}" for i in range(25)]
    assert len(cutover.ramp(10, names)) == 3
    assert cutover.ramp(50, names)[:3] == cutover.ramp(10, names)
    assert cutover.ramp(100, names) == tuple(names)
    assert cutover.ramp(0, names) == ()


def test_a_whole_plan_ends_with_the_whole_fleet_on_native(journal, fleet):
    """Every step proven: 10, 50, 100 %, one restart per instance, shadow stopped in between."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until=None)

    assert len(fleet.native) == 10
    assert set(fleet.restarts.values()) == {1}
    assert not fleet.shadow_runs
    state = journal.state(migration_id)
    assert state.promoted == tuple(step.name for step in PLAN.steps)
    assert state.exposed == tuple(fleet.native)
    assert state.ignored == ()


def test_intent_is_written_before_the_act_and_confirmation_after(journal, fleet):
    """The journal knows of an exposure before it exists."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")
    seen = []
    fleet.before_act = lambda act: seen.append((act, kinds(journal, migration_id)[-1]))

    advance("cutover-10", fleet, journal, migration_id)

    assert ("flip feed-00", "act_intended") in seen
    assert kinds(journal, migration_id)[-1] == "act_confirmed"


def test_a_step_without_the_promote_of_the_earlier_is_refused(journal, fleet):
    """No gate verdict, no exposure: not even a promotion written by hand helps."""
    migration_id = begin(journal)
    with pytest.raises(GateNotPassed, match="shadow needs the Promote of preflight"):
        advance("shadow", fleet, journal, migration_id)
    pass_steps(journal, fleet, migration_id, until="shadow")
    body = {"step": "shadow"}
    journal.append("step_promoted", migration_id=migration_id, actor="mallory", body=body)

    with pytest.raises(GateNotPassed, match="cutover-10 needs the Promote of shadow"):
        advance("cutover-10", fleet, journal, migration_id)

    assert fleet.native == []
    assert journal.state(migration_id).ignored_count == 1


@pytest.mark.parametrize("decision", ["Hold", "Rollback", "Running"])
def test_only_promote_promotes(journal, decision):
    """A gate that said anything else proves nothing."""
    migration_id = begin(journal)
    cutover.promote(PLAN.step("preflight"), PLAN, journal, migration_id, "ana")
    gate(journal, migration_id, "shadow", decision)

    with pytest.raises(GateNotPassed, match="gave no Promote"):
        cutover.promote(PLAN.step("shadow"), PLAN, journal, migration_id, "ana")


def test_a_gate_run_again_must_prove_anew(journal, fleet):
    """The Promote of an earlier run is not inherited by a later one."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")
    body = {"step": "shadow", "run": "2"}
    journal.append("step_started", migration_id=migration_id, actor="ana", body=body)

    with pytest.raises(GateNotPassed, match="needs the Promote of shadow"):
        advance("cutover-10", fleet, journal, migration_id)


def test_a_person_can_promote_a_held_step_only_with_a_reason(journal, fleet):
    """The override is an approval event with decision Promote; its reason is in the journal."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="shadow")
    advance("shadow", fleet, journal, migration_id)
    gate(journal, migration_id, "shadow", "Hold")
    body = {"step": "shadow", "reason": "coverage"}
    journal.append("held", migration_id=migration_id, actor="gate", body=body)
    with pytest.raises(MigrationNotRunning, match="is held"):
        advance("cutover-10", fleet, journal, migration_id)
    approve(journal, migration_id, "shadow", "Promote")
    with pytest.raises(GateNotPassed):
        cutover.promote(PLAN.step("shadow"), PLAN, journal, migration_id, "ana")

    approve(journal, migration_id, "shadow", "Promote", "quiet market, parity was complete")
    cutover.promote(PLAN.step("shadow"), PLAN, journal, migration_id, "ana")

    assert advance("cutover-10", fleet, journal, migration_id).instances == ("feed-00",)


def test_a_step_that_asks_for_a_person_waits_for_one(journal, fleet):
    """Reject is no approval."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    with pytest.raises(ApprovalMissing):
        advance("cutover-50", fleet, journal, migration_id)
    approve(journal, migration_id, "cutover-50", "Reject")
    with pytest.raises(ApprovalMissing):
        advance("cutover-50", fleet, journal, migration_id)


def test_a_changed_plan_is_refused(journal, fleet):
    """The hash in the journal is the plan that people agreed to."""
    migration_id = begin(journal)
    other = replace(PLAN, sha256="b" * 64)
    with pytest.raises(PlanChanged, match="aaaaaaaaaaaa → bbbbbbbbbbbb"):
        advance("preflight", fleet, journal, migration_id, other)


def test_a_killed_step_is_completed_by_the_next_attempt(journal, fleet):
    """Killed before any single change: the repeat ends after the step, with one intent."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    approve(journal, migration_id, "cutover-50")
    for deadly in ("flip feed-01", "flip feed-03", "wait"):

        def die(act, deadly=deadly):
            if act == deadly:
                raise Killed

        fleet.before_act = die
        with pytest.raises(Killed):
            advance("cutover-50", fleet, journal, migration_id)
        assert journal.state(migration_id).pending_act is not None
    fleet.before_act = lambda act: None

    advance("cutover-50", fleet, journal, migration_id)

    assert fleet.native == [f"feed-{i:02}" for i in range(5)]
    assert max(fleet.restarts.values()) == 1
    mine = [e for e in journal.events(migration_id) if e.body.get("step") == "cutover-50"]
    assert [e.kind for e in mine].count("act_intended") == 1
    assert journal.state(migration_id).pending_act is None


def test_instances_that_do_not_become_ready_leave_the_act_unconfirmed(journal, fleet):
    """The exposure stays known, and the step is not done."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")
    fleet.never_ready = {"feed-00"}
    with pytest.raises(NotReady, match="feed-00: no book"):
        advance("cutover-10", fleet, journal, migration_id)
    assert journal.state(migration_id).exposed == ("feed-00",)
    assert kinds(journal, migration_id)[-1] == "act_intended"


def test_an_actor_overtaken_by_a_rollback_is_stopped_by_the_fleet(journal, fleet):
    """A worker that read the journal before the rollback began still changes nothing after."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")

    def overtake(act):
        fleet.seen_epoch = 99

    fleet.before_act = overtake
    with pytest.raises(StaleEpoch):
        advance("cutover-10", fleet, journal, migration_id)
    assert fleet.native == []


def test_an_actor_overtaken_while_instances_become_ready_says_so(journal, fleet):
    """And not that they are not ready: they are somebody else's by then."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")

    def overtake(act):
        if act == "wait":
            fleet.never_ready = {"feed-00"}
            fleet.seen_epoch = 99

    fleet.before_act = overtake
    with pytest.raises(StaleEpoch):
        advance("cutover-10", fleet, journal, migration_id)
    assert kinds(journal, migration_id)[-1] == "act_intended"


def test_a_second_migration_is_refused_and_a_retried_begin_is_not(journal):
    """One migration at a time; the same DAG run asking again gets its own."""
    migration_id = begin(journal)
    assert begin(journal) == migration_id
    with pytest.raises(MigrationActive, match=f"{migration_id} is running"):
        journal.begin_migration("small", "c" * 64, "bob", run_key="r2")


def test_an_exposure_has_its_lease_before_its_intent(journal, fleet):
    """Killed at any point of the act, it is an exposure with an end."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")
    renew, seen = journal.renew_lease, []

    def noting(*arguments, **named):
        seen.append((kinds(journal, migration_id)[-1], named["holder"]))
        return renew(*arguments, **named)

    journal.renew_lease = noting
    advance("cutover-10", fleet, journal, migration_id)

    # the act before it stopped the shadows; no intent to expose anything is there yet
    assert seen == [("act_confirmed", "act cutover-10")]
    assert journal.lease(migration_id).seconds > fleet.ready_deadline_seconds


def test_a_promotion_hands_the_lease_on(journal, fleet):
    """Between two steps nobody renews, and the fleet is exposed all the same."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    assert journal.lease(migration_id).holder == "handover cutover-10"


def test_an_instance_that_somebody_moved_by_hand_stops_the_ramp(journal, fleet):
    """A partition or a file that was edited exposes what nothing has proven."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    epoch = journal.state(migration_id).epoch
    fleet.set_variant(["feed-07"], "native", epoch=epoch)
    approve(journal, migration_id, "cutover-50")
    before = journal.events()
    with pytest.raises(GateNotPassed, match="feed-07 on native although no step"):
        advance("cutover-50", fleet, journal, migration_id)
    assert journal.events() == before
    fleet.set_variant(["feed-07"], "ccxt", epoch=epoch)
    advance("cutover-50", fleet, journal, migration_id)
