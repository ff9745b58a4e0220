"""Hold by hand: an open run ends under a person's name, and nothing else can be held."""

import threading
from contextlib import suppress

import pytest

from feed_migration import cutover, holding
from feed_migration.errors import GateNotPassed, NothingToHold
from feed_migration.events import EventKind
from feed_migration.gates.record import (
    GateStart,
    append_verdict,
    join_gate,
    record_verdict,
    recorded_verdict,
)
from feed_migration.guard.follower import JournalFollower
from feed_migration.journal.store import Journal
from feed_migration.lease import HANDOVER_SECONDS
from feed_migration.model import Decision, Verdict
from feed_migration.phases import Status
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, approve, begin, gate, pass_steps

NOW = 1_790_000_000.0
STEP = "cutover-50"


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db", clock=lambda: NOW)


@pytest.fixture
def migration_id(journal):
    """Half of the fleet on native, and its gate is still to begin."""
    migration_id, fleet = begin(journal), MemoryFleet()
    pass_steps(journal, fleet, migration_id, until=STEP)
    approve(journal, migration_id, STEP)
    cutover.advance(PLAN.step(STEP), PLAN, fleet, journal, migration_id, "ana")
    return migration_id


@pytest.fixture
def start(journal, migration_id):
    return opened(journal, migration_id)


def opened(journal, migration_id, key="dag/run#0") -> GateStart:
    return join_gate(
        journal,
        migration_id=migration_id,
        step=STEP,
        key=key,
        actor="ana",
        started_unix=NOW,
    )


def held(journal, migration_id, reason="the book looks odd", at_unix=NOW + 12.0):
    return holding.hold(journal, migration_id, actor="bo", reason=reason, at_unix=at_unix)


def judged(decision) -> Verdict:
    return Verdict(decision=decision, at_seconds=20.0)


def test_an_open_run_ends_with_a_hold_under_the_persons_name(journal, migration_id, start):
    """Verdict and hold carry who and why; the exposure is what it was."""
    exposed = journal.state(migration_id).exposed
    assert held(journal, migration_id) == STEP
    state = journal.state(migration_id)
    assert (state.status, state.held_step, state.exposed) == (Status.HELD, STEP, exposed)
    assert state.reason == "held by bo: the book looks odd"
    verdict = recorded_verdict(journal, start)
    assert (verdict["decision"], verdict["run"], verdict["at_seconds"]) == ("Hold", "1", 12.0)
    said = [e for e in journal.events(migration_id) if e.kind in {"verdict", "held"}][-2:]
    assert [(event.kind, event.actor) for event in said] == [("verdict", "bo"), ("held", "bo")]


def test_a_run_is_held_before_its_first_tick_too(journal, migration_id, start):
    """It waits for the first scrape, but it is open."""
    held(journal, migration_id, at_unix=NOW - 3.0)
    assert recorded_verdict(journal, start)["at_seconds"] == 0.0


def test_a_reason_is_one_line_of_bounded_length(journal, migration_id, start):
    """Whatever is pasted into it, and nothing at all, too."""
    held(journal, migration_id, reason="a\nb\t" + "c" * 5000)
    reason = journal.state(migration_id).reason
    assert reason.startswith("held by bo: a b ccc")
    assert len(reason) < holding.MAX_REASON + 20
    assert holding.held_by("bo", "  \n") == "held by bo"


def test_what_is_held_does_not_promote_by_a_later_verdict(journal, migration_id, start):
    """The gate that had just come to a Promote finds the hold, and so does the promotion."""
    held(journal, migration_id)
    assert record_verdict(journal, start, judged(Decision.PROMOTE))["decision"] == "Hold"
    with pytest.raises(GateNotPassed):
        cutover.promote(PLAN.step(STEP), PLAN, journal, migration_id, "ana")


def test_no_promote_behind_a_hold_counts_even_where_it_is_written(journal, migration_id, start):
    """The fold, too, takes the first verdict of a run."""
    held(journal, migration_id)
    gate(journal, migration_id, STEP, "Promote", run=start.run)
    assert STEP not in journal.state(migration_id).proven
    with pytest.raises(GateNotPassed):
        cutover.promote(PLAN.step(STEP), PLAN, journal, migration_id, "ana")


def test_a_breach_found_at_the_same_moment_outranks_the_hold(journal, migration_id, start):
    """The gate's Rollback is written behind the hold, and is the one that stands."""
    held(journal, migration_id)
    body = record_verdict(journal, start, judged(Decision.ROLLBACK))
    assert body["decision"] == "Rollback"
    assert recorded_verdict(journal, start) == body
    assert journal.state(migration_id).last_verdict["decision"] == "Rollback"
    again = record_verdict(journal, start, judged(Decision.HOLD))
    assert again["decision"] == "Rollback"


def test_the_guard_knows_a_hold_by_hand_and_still_reverts_on_a_breach(journal, migration_id, start):
    """No gate is left to tick, the exposure is watched, and a Rollback wants it back."""
    follower = JournalFollower(journal)
    assert follower.read().gate_started_unix == NOW
    held(journal, migration_id)
    known = follower.read()
    assert (known.status, known.gate_started_unix, known.breach) == (Status.HELD, None, "")
    assert known.exposed == journal.state(migration_id).exposed
    append_verdict(journal, start, judged(Decision.ROLLBACK), actor="guard:here")
    assert follower.read().breach.startswith(f"gate {STEP}: Rollback")


def test_another_run_of_the_gate_ends_the_hold(journal, migration_id, start):
    """With no inherited success; it can be held again."""
    held(journal, migration_id)
    again = opened(journal, migration_id, key="dag/run#1")
    assert journal.state(migration_id).status is Status.RUNNING
    assert recorded_verdict(journal, again) is None
    assert held(journal, migration_id, reason="still odd") == STEP
    assert recorded_verdict(journal, again)["decision"] == "Hold"


@pytest.mark.parametrize(
    ("decision", "problem"),
    [
        (Decision.PROMOTE, "no gate is open, cutover-50 is proven"),
        (Decision.ROLLBACK, "the gate of cutover-50 said Rollback"),
        (Decision.HOLD, "the gate of cutover-50 has just held by itself"),
    ],
)
def test_a_run_that_has_its_verdict_is_not_held(journal, migration_id, start, decision, problem):
    """What has promoted already cannot be held, nor what goes back."""
    record_verdict(journal, start, judged(decision))
    with pytest.raises(NothingToHold, match=problem):
        held(journal, migration_id)
    assert journal.state(migration_id).status is Status.RUNNING
    assert recorded_verdict(journal, start)["decision"] == decision


def test_between_an_act_and_its_gate_there_is_nothing_to_hold_yet(journal, migration_id):
    """A moment later there is: the refusal says that waiting helps."""
    with pytest.raises(NothingToHold, match="no gate is open, cutover-50 has not come") as refused:
        held(journal, migration_id)
    assert refused.value.passing
    assert refused.value.remedy.startswith("hold the next gate once it begins")


def test_an_act_under_way_is_not_held(journal, migration_id):
    """Half a batch of instances is nothing to stay at."""
    body = {"act": "set_variant", "step": STEP, "variant": "native", "instances": ["feed-05"]}
    journal.append("act_intended", migration_id=migration_id, actor="ana", body=body)
    with pytest.raises(NothingToHold, match="set_variant of cutover-50 is under way") as refused:
        held(journal, migration_id)
    assert refused.value.passing


def test_a_waiting_approval_needs_no_hold(journal):
    """It is one; the refusal says until when it may stay unanswered."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until=STEP)
    seconds = 3600.0 + HANDOVER_SECONDS
    journal.renew_lease(migration_id, holder=f"approval {STEP}", seconds=seconds)
    with pytest.raises(NothingToHold, match="cutover-50 waits for an approval") as refused:
        held(journal, migration_id)
    assert "unanswered until 2026-09-21 15:13:20 UTC" in refused.value.remedy
    pending = holding.pending_approval(journal.state(migration_id), journal.lease(migration_id))
    assert (pending.step, pending.until_unix) == (STEP, NOW + 3600.0)
    approve(journal, migration_id, STEP)
    assert not holding.pending_approval(journal.state(migration_id), journal.lease(migration_id))


def test_what_is_held_is_not_held_twice(journal, migration_id, start):
    """The first reason stands; the remedy is how to go on."""
    held(journal, migration_id)
    with pytest.raises(NothingToHold, match="held already: held by bo: the book") as refused:
        held(journal, migration_id, reason="me too")
    assert "backpack-migrate resume" in refused.value.remedy


@pytest.mark.parametrize("kind", [EventKind.ROLLBACK_STARTED, EventKind.MIGRATION_FINISHED])
def test_what_is_over_or_goes_back_is_not_held(journal, migration_id, start, kind):
    """Nor a migration that never was."""
    if kind == EventKind.MIGRATION_FINISHED:
        record_verdict(journal, start, judged(Decision.PROMOTE))
        for step in PLAN.steps:
            gate(journal, migration_id, step.name, run="2")
            journal.append(
                "step_promoted", migration_id=migration_id, actor="ana", body={"step": step.name}
            )
    body = {"outcome": "promoted", "reason": "r", "epoch": 2, "instances": {}}
    journal.append(kind, migration_id=migration_id, actor="ana", body=body)
    with pytest.raises(NothingToHold, match=r"the migration is (rolling back|promoted)"):
        held(journal, migration_id)
    with pytest.raises(NothingToHold, match="absent"):
        held(journal, "mig-9999")


def test_of_a_hold_and_a_promote_at_once_exactly_one_stands(tmp_path):
    """Two processes' journals, many times: never both held and proven."""
    outcomes = set()
    for number in range(20):
        home = tmp_path / str(number)
        home.mkdir()
        journal = Journal(home / "journal.db", clock=lambda: NOW)
        migration_id = begin(journal)
        pass_steps(journal, MemoryFleet(), migration_id, until=STEP)
        start = opened(journal, migration_id)
        other = Journal(home / "journal.db", clock=lambda: NOW)
        barrier = threading.Barrier(2)

        def promoting(journal=other, start=start, barrier=barrier):
            barrier.wait()
            record_verdict(journal, start, judged(Decision.PROMOTE))

        thread = threading.Thread(target=promoting)
        thread.start()
        barrier.wait()
        with suppress(NothingToHold):
            held(journal, migration_id)
        thread.join()
        state = journal.state(migration_id)
        verdicts = [
            event for event in journal.events(migration_id, "verdict") if event.body["step"] == STEP
        ]
        assert len(verdicts) == 1
        assert (state.status is Status.HELD) == (STEP not in state.proven)
        outcomes.add(state.status)
    assert outcomes <= {Status.HELD, Status.RUNNING}


def test_without_an_open_gate_the_step_at_hand_is_stayed_at_once_its_act_is_confirmed(
    journal, migration_id
):
    """Its gate can begin anew; an act that is only intended is watched by nobody."""
    assert holding.stays_at(journal.state(migration_id)) == STEP
    holding.hold_between(journal, migration_id, actor="ana", reason="the journal was away")
    state = journal.state(migration_id)
    assert (state.held_at, state.reason) == (STEP, "the journal was away")

    # what is held already, or half done, is not held by this
    assert holding.stays_at(state) == ""
    opened(journal, migration_id)
    act = {"act": "set_variant", "step": STEP, "variant": "native", "instances": ["feed-00"]}
    journal.append("act_intended", migration_id=migration_id, actor="ana", body=act)
    holding.hold_between(journal, migration_id, actor="ana", reason="again")
    assert journal.state(migration_id).status is Status.RUNNING


def test_between_two_steps_the_one_that_made_the_exposure_is_stayed_at(journal, migration_id):
    """Promoted or not, and also where the next one has begun and done nothing."""
    start = opened(journal, migration_id)
    record_verdict(journal, start, Verdict(decision=Decision.PROMOTE, at_seconds=1.0, reasons=()))
    cutover.promote(PLAN.step(STEP), PLAN, journal, migration_id, "ana")
    body = {"step": "cutover-100", "run": "1"}
    journal.append("step_started", migration_id=migration_id, actor="ana", body=body)
    assert holding.stays_at(journal.state(migration_id)) == STEP


def test_behind_the_shadows_nothing_is_stayed_at(journal):
    """They are stopped once they are promoted, so their gate could not begin anew."""
    migration_id, fleet = begin(journal), MemoryFleet()
    pass_steps(journal, fleet, migration_id, until="cutover-10")
    assert "shadow" in journal.state(migration_id).promoted
    assert holding.stays_at(journal.state(migration_id)) == ""
