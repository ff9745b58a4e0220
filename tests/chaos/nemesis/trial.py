"""One migration under attack, driven by Airflow to its end, and what is wrong with that end."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from feed_migration.driving import JOINED
from feed_migration.errors import JournalUnavailable, MigrationError
from feed_migration.events import Event, EventKind
from feed_migration.phases import MigrationState, Status
from tests.chaos.nemesis.check import (
    ENDS,
    Trades,
    compare_trades,
    illegal_end,
    journal_faults,
    promoted_in_breach,
)
from tests.chaos.nemesis.ends import hollow_promotion, unexcused_end, unseen_exposure
from tests.chaos.nemesis.plan import Trial
from tests.chaos.nemesis.stage import ALIVE, Stage
from tests.chaos.nemesis.strikes import SECOND_RUN_DAG, Driven, Nemesis
from tests.support.conditions import eventually_sync

DAGS = ("backpack_cutover", "backpack_stabilisation", "backpack_post_migration")
CONF = {"skip_earlier_phases": True, "reason": "a trial under attack"}
START_SECONDS = 60.0
END_SECONDS = 780.0
STARTED_AGAIN = 3
POLL_SECONDS = 0.2


@dataclass
class Outcome:
    """How a trial ended; `wrong` is what must not be, `illegal_end` whether the end is among it."""

    trial: Trial
    status: str = "never begun"
    migration_id: str = ""
    struck: Counter[str] = field(default_factory=Counter)
    trades: Trades = field(default_factory=Trades)
    wrong: list[str] = field(default_factory=list)
    diary: list[str] = field(default_factory=list)
    illegal_end: bool = False
    breached: bool = False
    reason: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        """One line, and one more for each thing that is wrong."""
        trial, kinds = self.trial, ", ".join(sorted(+self.struck))
        breach = ", breached for good" if self.breached else ""
        line = f"seed {trial.seed}: {self.status}, {self.seconds:.0f} s{breach}; {kinds}"
        because = [f"  because {self.reason}"] if self.reason else []
        again = f'  again: make chaos PART=nemesis SEED={trial.seed} ARGS="--count 1"'
        return "\n".join(
            [
                line,
                *because,
                *(f"  WRONG: {what}" for what in self.wrong),
                *([again] * bool(self.wrong)),
            ]
        )


def run_trial(stage: Stage, trial: Trial, before: Trades) -> Outcome:
    """Run the trial of `trial.seed` on a calm deployment; `before` is what was wrong already."""
    stage.calm()
    return _Run(stage, trial).run(before)


class _Run:
    def __init__(self, stage: Stage, trial: Trial) -> None:
        self._stage, self._trial = stage, trial
        self._nemesis = Nemesis(stage, trial)
        self._outcome = Outcome(trial)
        self._earlier = stage.journal.latest_migration()
        self._state = MigrationState()
        self._seen_native: set[str] = set()

    def run(self, before: Trades) -> Outcome:
        began = time.monotonic()
        outcome, nemesis = self._outcome, self._nemesis
        try:
            ended = self._drive(began + END_SECONDS)
        finally:
            nemesis.end()
            outcome.struck, outcome.diary = nemesis.struck, nemesis.diary
        if not ended:
            outcome.wrong.append(f"no end after {END_SECONDS:.0f} s")
        self._judge(before)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _drive(self, deadline: float) -> bool:
        """Start one DAG after the other until the migration is over; whether it came to that."""
        todo = list(DAGS)
        for _ in range(len(DAGS) + STARTED_AGAIN):
            driven = self._start(todo[0])
            state = self._follow(driven, deadline)
            if not state:
                return False
            if self._is_over():
                break
            # a run that was refused, or found a part away, before it joined is started again
            if state == "success":
                todo.pop(0)
        return self._is_over()

    def _start(self, dag_id: str) -> Driven:
        run_id = eventually_sync(lambda: self._stage.trigger(dag_id, CONF), START_SECONDS)
        self._outcome.diary.append(f"{time.time():.1f} {dag_id} {run_id}")
        return Driven(dag_id, run_id)

    def _follow(self, driven: Driven, deadline: float) -> str:
        """Strike until the DAG run is over; its state, "" where it goes on for too long."""
        while time.monotonic() < deadline:
            self._look()
            self._nemesis.turn(driven)
            state = self._stage.run_state(driven.dag_id, driven.run_id)
            if state in {"success", "failed"} and not self._left_alone(driven, state):
                self._look()
                return state
            time.sleep(POLL_SECONDS)
        return ""

    def _left_alone(self, driven: Driven, state: str) -> bool:
        """Whether a run that had the migration failed without an end to it: the guard is next."""
        if state == "success" or self._state.status in ENDS:
            return False
        events = self._stage.journal.events(self._outcome.migration_id)
        return _joined(events, driven.run_id)

    def _is_over(self) -> bool:
        return self._state.status in ENDS

    def _look(self) -> None:
        with suppress(JournalUnavailable):
            latest = self._stage.journal.latest_migration()
            if not self._outcome.migration_id and latest != self._earlier:
                self._outcome.migration_id = latest or ""
            if self._outcome.migration_id:
                self._state = self._stage.journal.state(self._outcome.migration_id)
        now, at = time.monotonic(), self._nemesis.at
        if self._state.status is not Status.ABSENT:
            at.setdefault("begun", now)
        if self._state.exposed:
            at.setdefault("exposed", now)
            self._look_for_native()

    def _look_for_native(self) -> None:
        """Until the first instance says so itself; the journal's word alone proves nothing."""
        if not self._seen_native:
            with suppress(MigrationError):
                said = self._stage.variants().items()
                self._seen_native = {name for name, variant in said if variant == "native"}

    def _judge(self, before: Trades) -> None:
        outcome = self._outcome
        self._refused()
        self._look()
        outcome.status = str(self._state.status) if outcome.migration_id else "never begun"
        outcome.reason, outcome.breached = self._state.reason, self._nemesis.breached_at is not None
        illegal = self._illegal()
        outcome.illegal_end = bool(illegal)
        outcome.wrong += illegal
        if not self._stage.journal.verify().ok:
            outcome.wrong.append("the audit log does not verify")
        if not +outcome.struck:
            outcome.wrong.append("nothing was struck, so nothing is shown")
        self._judge_breach()
        self._judge_trades(before)
        self._judge_exposure(before)

    def _illegal(self) -> list[str]:
        """What is wrong with the end, and with what the journal tells of the way to it."""
        stage, outcome = self._stage, self._outcome
        if not outcome.migration_id:
            return [f"no migration began in {len(DAGS) + STARTED_AGAIN} runs"]
        events = stage.journal.events(outcome.migration_id)
        outcome.wrong += journal_faults(events)
        illegal = illegal_end(stage, self._state)
        return illegal or unexcused_end(events, self._state.status, self._met())

    def _judge_breach(self) -> None:
        outcome = self._outcome
        if not outcome.breached:
            return
        if self._state.status is not Status.ROLLED_BACK:
            outcome.wrong.append("the venue stayed broken for native clients")
        if not outcome.struck["answers:replayed"]:
            events = self._stage.journal.events(outcome.migration_id)
            outcome.wrong += promoted_in_breach(events, self._nemesis.breached_at or 0.0)

    def _judge_trades(self, before: Trades) -> None:
        outcome = self._outcome
        outcome.trades = compare_trades(self._stage)
        if outcome.trades.compared <= before.compared:
            outcome.wrong.append("no trade was compared")
        for what in ("lost", "repeated", "wrong"):
            fresh = getattr(outcome.trades, what) - getattr(before, what)
            if fresh:
                outcome.wrong.append(f"{len(fresh)} trades {what}: {sorted(fresh)[:5]}")

    def _judge_exposure(self, before: Trades) -> None:
        outcome = self._outcome
        if not outcome.migration_id:
            return
        events = self._stage.journal.events(outcome.migration_id)
        outcome.wrong += unseen_exposure(events, self._seen_native)
        if self._state.status is Status.PROMOTED:
            native = outcome.trades.native - before.native
            outcome.wrong += hollow_promotion(events, native)

    def _met(self) -> dict[str, float]:
        """Kind → when it first met somebody; a lie that nobody heard has met nobody."""
        nemesis = self._nemesis
        return {kind: at for kind, at in nemesis.struck_at.items() if nemesis.struck[kind] > 0}

    def _refused(self) -> None:
        """A second migration of the same fleet was refused, and joined nothing."""
        for run_id in self._nemesis.second_runs:
            state = self._stage.run_state(SECOND_RUN_DAG, run_id)
            if state == "success":
                self._outcome.wrong.append("a second run at the same time is green")
            if state in ALIVE:
                # it was queued for longer than the first one took, so it has asked for nothing
                self._stage.fail_living_runs()
                self._nemesis.struck["second_run"] -= 1
            events = self._stage.journal.events(self._outcome.migration_id)
            if _joined(events, run_id):
                self._outcome.wrong.append("a second run drove the same migration")


def _joined(events: Sequence[Event], run_id: str) -> bool:
    """Whether a DAG run has driven the migration of these events."""
    notes = [event.body for event in events if event.kind == EventKind.AUDIT_NOTE]
    return any((note.get("note"), note.get("run_id")) == (JOINED, run_id) for note in notes)
