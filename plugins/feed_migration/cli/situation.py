"""A migration at one moment: what is known of it, what it waits for, what to do next. Pure.

`status` shows it once and `status --watch` again and again; both say the same of the same facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from feed_migration.dag_run import MIGRATION_DAG, EndedRun, left_behind
from feed_migration.events import Event
from feed_migration.fleet.base import InstanceStatus
from feed_migration.gates.record import GateStart
from feed_migration.guard.answer import GuardAnswer
from feed_migration.holding import pending_approval
from feed_migration.lease import Lease
from feed_migration.markdown import utc
from feed_migration.model import Gate, Measurement
from feed_migration.phases import MigrationState, Status, needs_lease
from feed_migration.words import act_words, step_words

COMMAND = "backpack-migrate"


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is known at `now_unix`; an empty `state` is no migration yet.

    `gate_start` is the open run of the current step's gate, `gate` its conditions where the plan is
    at hand. `measurements` are the newest of the step's run, in the order of ticks; `events` the
    last ones. `may_answer` are those whom the plan lets answer the approval that waits, empty where
    that is whoever may act in Airflow; `ended_run` is the DAG run that drives the migration, where
    Airflow calls it over. `guard` is what that said of itself, None before it was asked.
    """

    now_unix: float
    state: MigrationState = field(default_factory=MigrationState)
    lease: Lease | None = None
    gate_start: GateStart | None = None
    gate: Gate | None = None
    measurements: Sequence[Measurement] = ()
    events: Sequence[Event] = ()
    instances: Sequence[InstanceStatus] = ()
    may_answer: Sequence[str] = ()
    ended_run: EndedRun | None = None
    guard: GuardAnswer | None = None

    @property
    def newest(self) -> tuple[Measurement, ...]:
        """The newest measurement of each criterion."""
        return tuple({one.criterion: one for one in self.measurements}.values())

    @property
    def gate_elapsed_seconds(self) -> float | None:
        """How long the open gate has been asked; below 0 until its first tick."""
        if self.gate_start is None:
            return None
        return self.now_unix - self.gate_start.started_unix

    @property
    def unwell(self) -> tuple[InstanceStatus, ...]:
        """The instances that are not ready, or not healthy."""
        return tuple(one for one in self.instances if not (one.ready and one.healthy))

    @property
    def watching_lease(self) -> Lease | None:
        """The lease while it counts: while something is exposed that is not proven yet."""
        return self.lease if needs_lease(self.state) else None


class WaitsFor(StrEnum):
    """What a migration waits for."""

    NOTHING = "nothing"
    APPROVAL = "approval"
    GATE = "gate"
    ACT = "act"
    TASK = "task"
    PERSON = "person"
    ROLLBACK = "rollback"


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Why nothing goes on at the moment; `until_unix` where that has an end of its own.

    `may_answer` are the names of those who alone may answer, where it waits for an approval.
    """

    kind: WaitsFor
    text: str = ""
    until_unix: float | None = None
    may_answer: Sequence[str] = ()


def wait_of(situation: Situation) -> Wait:
    """Return what the migration waits for."""
    state = situation.state
    if state.status is Status.HELD:
        text = f"{state.held_step} is held, a person decides: {state.reason or 'no reason given'}"
        return Wait(kind=WaitsFor.PERSON, text=text)
    if state.status is Status.ROLLING_BACK:
        text = f"the fleet goes back to ccxt: {state.reason or 'no reason given'}"
        return Wait(kind=WaitsFor.ROLLBACK, text=text)
    if state.status is Status.RUNNING:
        return _run_over(situation) or _running(situation)
    return Wait(kind=WaitsFor.NOTHING)


def _running(situation: Situation) -> Wait:
    state = situation.state
    if (approval := pending_approval(state, situation.lease)) is not None:
        names = f" by {' or '.join(situation.may_answer)}" if situation.may_answer else ""
        until = utc(approval.until_unix)
        text = f"{approval.step} waits for an approval{names}; none by {until} is a No"
        return Wait(
            kind=WaitsFor.APPROVAL,
            text=text,
            until_unix=approval.until_unix,
            may_answer=situation.may_answer,
        )
    if state.denial is not None:
        return Wait(
            kind=WaitsFor.ROLLBACK, text=f"the fleet goes back to ccxt: {state.denial.text}"
        )
    if situation.gate_start is not None:
        return Wait(kind=WaitsFor.GATE, text=f"gate of {state.step}: {gate_progress(situation)}")
    if (act := state.pending_act) is not None:
        text = f"{step_words(act.get('step') or state.step)}: {act_words(act)}"
        return Wait(kind=WaitsFor.ACT, text=text)
    if state.step and state.step not in state.promoted:
        return Wait(kind=WaitsFor.TASK, text=f"Airflow's tasks of {state.step}")
    return Wait(kind=WaitsFor.TASK, text=f"Airflow's next task after {state.step or 'the start'}")


def _run_over(situation: Situation) -> Wait | None:
    state, ended = situation.state, situation.ended_run
    # a No takes the fleet back without one
    if ended is None or state.denial is not None:
        return None
    return Wait(kind=WaitsFor.PERSON, text=left_behind(state, ended))


def gate_progress(situation: Situation) -> str:
    """Return how far the open gate is, in words."""
    elapsed, gate = situation.gate_elapsed_seconds or 0.0, situation.gate
    if elapsed < 0:
        return f"its first tick is in {-elapsed:.0f} s"
    if gate is None:
        return f"{minutes(elapsed)} so far"
    least, most = minutes(gate.min_duration_seconds), minutes(gate.max_duration_seconds)
    return f"{minutes(elapsed)} of at least {least}, at most {most}"


def next_of(situation: Situation) -> list[str]:
    """Return the commands that a person would use now."""
    state, wait = situation.state, wait_of(situation)
    if state.status is Status.ABSENT:
        return [f"{COMMAND} start"]
    if state.status is Status.HELD:
        return [f"{COMMAND} resume", f"{COMMAND} rollback"]
    if state.status is Status.ROLLING_BACK:
        return [f"{COMMAND} status --watch"]
    if state.status is not Status.RUNNING:
        return [f"{COMMAND} report"]
    if wait.kind is WaitsFor.APPROVAL:
        return [f"{COMMAND} approve", f"{COMMAND} approve --reject"]
    if wait.kind is WaitsFor.PERSON:
        ended = situation.ended_run
        every = ended is not None and ended.run.dag_id == MIGRATION_DAG
        # no command starts the DAG of one phase
        first = [f"{COMMAND} start"] if every else []
    else:
        hold = [f"{COMMAND} hold"] if wait.kind is WaitsFor.GATE else []
        first = [f"{COMMAND} status --watch", *hold]
    return [*first, f"{COMMAND} rollback"]


def minutes(seconds: float) -> str:
    """Return a length of time as `0:07`, `12:03` or `25:00:00`."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    clock = f"{rest // 60:02}:{rest % 60:02}"
    return f"{hours}:{clock}" if hours else clock.removeprefix("0")
