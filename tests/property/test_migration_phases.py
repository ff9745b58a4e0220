"""Whatever happens in whatever order, exposure grows only behind proof, and the way back is open."""

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from feed_migration import cutover, rollback
from feed_migration.errors import Refused
from feed_migration.events import Event, EventKind
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.model import Decision
from feed_migration.phases import (
    IGNORED_SHOWN,
    MigrationState,
    Status,
    apply,
    fold,
    transition,
)
from tests.support.memory_fleet import Killed, MemoryFleet
from tests.support.migration_plans import PLAN, approve, begin, gate

STEPS = st.sampled_from([step.name for step in PLAN.steps])
DECISIONS = st.sampled_from([str(decision) for decision in Decision])
EPOCH_BODY = {"epoch": 2, "reason": "r", "instances": {"feed-00": "native"}}


class Migration(RuleBasedStateMachine):
    """Operators, gates, kills and forged events, in any order, on a real journal."""

    def __init__(self) -> None:
        super().__init__()
        # hundreds of journals: on memory where there is some
        shm = Path("/dev/shm")
        self.directory = tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None)
        home = Path(self.directory.name)
        self.journal = Journal(home / "journal.db")
        self.spool = Spool(home / "journal.spool.jsonl")
        self.fleet = MemoryFleet()
        self.migration_id = ""
        self.run = 0

    def teardown(self) -> None:
        self.directory.cleanup()

    @initialize()
    def start(self):
        self.migration_id = begin(self.journal)

    @rule(step=STEPS, deadly=st.sampled_from(["", "flip feed-00", "flip feed-03", "wait"]))
    def advance(self, step, deadly):
        def die(act):
            if act == deadly:
                raise Killed

        allowed, before = self.allowed(), set(self.fleet.native)
        self.fleet.before_act = die
        try:
            cutover.advance(
                PLAN.step(step), PLAN, self.fleet, self.journal, self.migration_id, "ana"
            )
        except (Refused, Killed):
            pass
        finally:
            self.fleet.before_act = lambda act: None
        assert set(self.fleet.native) <= before | allowed

    def allowed(self) -> set[str]:
        """The instances that the proof in the journal covers, reckoned independently."""
        state, percent = self.state, 0
        for step in PLAN.steps if state.status is Status.RUNNING else ():
            percent = max(percent, step.percent or 0)
            if step.name not in state.promoted or (step.gate and step.name not in state.proven):
                break
        return set(cutover.ramp(percent, list(self.fleet.variant)))

    @rule(decision=st.sampled_from(["Promote", "Promote", "Promote", "Rollback", "Hold"]))
    def proceed(self, decision):
        """The honest way through the next step, so that runs get far."""
        left = [step.name for step in PLAN.steps if step.name not in self.state.promoted]
        if left:
            self.approve(left[0], "Approve")
            self.advance(left[0], "")
            self.judge(left[0], decision)
            self.promote(left[0])

    @rule(step=STEPS, decision=DECISIONS)
    def judge(self, step, decision):
        self.run += 1
        gate(self.journal, self.migration_id, step, decision, run=str(self.run))

    @rule(step=STEPS)
    def promote(self, step):
        with suppress(Refused):
            cutover.promote(PLAN.step(step), PLAN, self.journal, self.migration_id, "ana")

    @rule(step=STEPS, kind=st.sampled_from([EventKind.STEP_PROMOTED, EventKind.ACT_CONFIRMED]))
    def forge(self, step, kind):
        body = {"step": step, "variant": "native", "instances": []}
        self.journal.append(kind, migration_id=self.migration_id, actor="mallory", body=body)

    @rule(step=STEPS, decision=st.sampled_from(["Approve", "Reject"]))
    def approve(self, step, decision):
        approve(self.journal, self.migration_id, step, decision)

    @precondition(lambda self: self.run > 2)
    @rule(step=STEPS)
    def hold(self, step):
        body = {"step": step, "reason": "coverage"}
        self.journal.append("held", migration_id=self.migration_id, actor="gate", body=body)

    @precondition(lambda self: self.run > 4)
    @rule(kill=st.booleans())
    def roll_back(self, kill):
        def die(act):
            raise Killed

        self.fleet.before_act = die if kill else lambda act: None
        try:
            rollback.revert(
                self.fleet, self.journal, self.migration_id, "ana", "r", spool=self.spool
            )
            rollback.verify(self.fleet, self.journal, self.migration_id, "ana", spool=self.spool)
        except Killed:
            assert self.state.status is Status.ROLLING_BACK
        else:
            assert self.fleet.native == []
            assert self.state.status is Status.ROLLED_BACK
        self.fleet.before_act = lambda act: None

    @property
    def state(self) -> MigrationState:
        return self.journal.state(self.migration_id)

    @invariant()
    def every_exposure_is_in_the_journal(self):
        if self.migration_id:
            assert set(self.fleet.native) <= set(self.state.exposed)


TestMigration = Migration.TestCase
TestMigration.settings = settings(
    max_examples=20,
    stateful_step_count=18,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

ODD = st.sampled_from([None, "", "many", [], {}, [None], [{}], {"feed-00": None}, True, -1, 1e400])
odd_bodies = st.dictionaries(
    st.sampled_from(
        [
            *("step", "run", "decision", "reason", "epoch", "variant", "instances", "outcome"),
            *("breach_at", "steps", "plan", "plan_sha256", "run_key", "phase", "act"),
        ]
    ),
    ODD,
)

bodies = st.fixed_dictionaries(
    {},
    optional={
        "step": STEPS,
        "run": st.sampled_from(["1", "2"]),
        "decision": DECISIONS | st.just("Approve"),
        "reason": st.text(max_size=5),
        "epoch": st.integers(0, 9),
        "variant": st.sampled_from(["native", "ccxt"]),
        "instances": st.lists(st.sampled_from(["feed-00", "feed-01"])),
        "outcome": st.sampled_from(["promoted", "held", "rolled_back"]),
        "breach_at": st.floats(0, 1e9),
    },
)


@st.composite
def histories(draw):
    kinds = draw(st.lists(st.sampled_from([*EventKind]), max_size=25))
    return [_event(seq, kind, draw(bodies)) for seq, kind in enumerate(kinds, start=2)]


def _event(seq, kind, body):
    return Event(
        seq=seq,
        at=float(seq),
        migration_id="m",
        kind=str(kind),
        actor="a",
        body=body,
        prev_hash="",
        hash="",
    )


def _begun():
    facts = [{"name": s.name, "phase": s.phase, "gated": s.gate is not None} for s in PLAN.steps]
    body = {"plan": "small", "plan_sha256": "a", "epoch": 1, "steps": facts}
    return _event(1, EventKind.MIGRATION_STARTED, body)


@given(histories())
@settings(max_examples=100, deadline=None)
def test_the_fold_takes_any_history_and_promotes_nothing_unproven(history):
    """It never raises; promoted steps are a proven prefix of the plan at the time they were told."""
    state = fold([_begun()])
    for event in history:
        before, state = state, apply(state, event)
        fresh = set(state.promoted) - set(before.promoted)
        for step in fresh:
            earlier = [s.name for s in PLAN.steps[: PLAN.steps.index(PLAN.step(step))]]
            assert set(earlier) <= set(before.promoted)
            assert PLAN.step(step).gate is None or step in before.proven
    assert state.plan_sha256 == "a"


@given(histories())
@settings(max_examples=100, deadline=None)
def test_a_rollback_can_start_after_any_history(history):
    """No event, in no order, closes the way back."""
    state = fold([_begun(), *history])
    back = apply(state, _event(99, EventKind.ROLLBACK_STARTED, EPOCH_BODY))
    assert back.status is Status.ROLLING_BACK
    done = apply(back, _event(100, EventKind.ROLLBACK_VERIFIED, {}))
    assert (done.status, done.exposed) == (Status.ROLLED_BACK, ())


@given(histories())
@settings(max_examples=50, deadline=None)
def test_a_rolled_back_migration_never_goes_forward_again(history):
    """Only another rollback leaves that state, and it leads back to it."""
    state = fold([_begun(), _event(1, EventKind.ROLLBACK_STARTED, EPOCH_BODY)])
    for event in history:
        state = apply(state, event)
        assert state.status in {Status.ROLLING_BACK, Status.ROLLED_BACK}


@pytest.mark.parametrize("kind", ["no_such_kind", "", "ROLLBACK_STARTED"])
def test_a_kind_from_another_version_changes_nothing(kind):
    """It is not in the table, so it has no transition."""
    assert transition(Status.RUNNING, kind) is None


@given(st.lists(st.tuples(st.sampled_from([*EventKind]), odd_bodies | bodies), max_size=25))
@settings(max_examples=300, deadline=None)
def test_the_fold_never_fails_on_odd_bodies(history):
    """Wrong types, nulls and infinities change what they can, and the way back stays open."""
    state = fold([])
    for begun in ([], [_begun()]):
        events = [_event(seq, kind, body) for seq, (kind, body) in enumerate(history, start=2)]
        state = fold([*begun, *events])
        assert isinstance(state.epoch, int)
        assert isinstance(state.rollback_epoch, int)
    back = fold([_event(99, EventKind.ROLLBACK_STARTED, EPOCH_BODY)], state)
    assert back.status is Status.ROLLING_BACK


def _held_at(step):
    return fold(
        [
            _begun(),
            _event(2, EventKind.STEP_STARTED, {"step": step}),
            _event(3, EventKind.HELD, {"step": step, "reason": "coverage"}),
        ]
    )


@pytest.mark.parametrize("step", ["preflight", "shadow", "cutover-50", ""])
@pytest.mark.parametrize("kind", [EventKind.STEP_STARTED, EventKind.STEP_PROMOTED])
def test_another_step_does_not_end_a_hold(step, kind):
    """Who was refused, or told a step again, must not let the migration run on."""
    state = apply(_held_at("cutover-10"), _event(4, kind, {"step": step, "run": "2"}))
    assert (state.status, state.step, state.ignored) == (Status.HELD, "cutover-10", (4,))


@pytest.mark.parametrize("more", [1, IGNORED_SHOWN, 1000])
def test_of_the_events_that_do_not_count_all_are_counted_and_the_latest_listed(more):
    """A state does not grow with what is refused, however long that goes on."""
    seqs = range(4, 4 + more)
    state = fold(
        (_event(seq, EventKind.STEP_STARTED, {"step": "shadow"}) for seq in seqs),
        _held_at("cutover-10"),
    )
    assert state.ignored_count == more
    assert state.ignored == tuple(seqs)[-IGNORED_SHOWN:]


def test_the_held_step_itself_goes_on():
    """A person starts its gate again."""
    state = apply(
        _held_at("cutover-10"),
        _event(4, EventKind.STEP_STARTED, {"step": "cutover-10", "run": "2"}),
    )
    assert (state.status, state.run) == (Status.RUNNING, "2")
