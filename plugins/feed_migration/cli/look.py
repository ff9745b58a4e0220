"""What `status` looks at: the journal, read on from where it was, the plan, fleet and Airflow."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from feed_migration import phases
from feed_migration.cli.asked_start import AskedStart, asked_start
from feed_migration.deployment import Deployment
from feed_migration.document.reader import PlanError
from feed_migration.events import Event, EventKind
from feed_migration.gates.record import GateStart, newest_run, standing_verdict
from feed_migration.journal.refusals import NO_MIGRATION
from feed_migration.journal.store import Journal
from feed_migration.lease import Lease
from feed_migration.model import Gate, Measurement, Plan
from feed_migration.phases import MigrationState, Status
from feed_migration.plan.reader import load_plan

# What a sparkline and the list of events can show
TICKS = 60
EVENTS = 40
_RUNS = frozenset({EventKind.STEP_STARTED, EventKind.VERDICT})


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the journal tells of one migration; see `situation.Situation`.

    `start` was asked for since the migration ended, and no other has come of it yet.
    """

    state: MigrationState = field(default_factory=MigrationState)
    lease: Lease | None = None
    gate_start: GateStart | None = None
    measurements: Sequence[Measurement] = ()
    events: Sequence[Event] = ()
    start: AskedStart | None = None


class JournalView:
    """One migration in the journal, the newest unless it is named; `read` again reads on."""

    def __init__(self, journal: Journal, migration_id: str | None = None) -> None:
        self._journal, self._wanted = journal, migration_id
        self._migration_id, self._seq, self._end_seq = "", 0, 0
        self._state = MigrationState()
        self._runs: list[Event] = []

    def read(self) -> Story:
        """Return the story as of now; raises `JournalUnavailable`."""
        migration_id = self._wanted or self._journal.latest_migration()
        if migration_id is None:
            return Story(start=self._start(self._state))
        events = self._journal.newest_events(migration_id, EVENTS)
        restored = not events or events[-1].seq < self._seq
        if migration_id != self._migration_id or restored:
            self._forget(migration_id)
        for event in self._journal.events(
            migration_id, after_seq=self._seq, but=phases.WITHOUT_EFFECT
        ):
            self._seq, self._state = event.seq, phases.apply(self._state, event)
            # the books of a rollback may be closed when the next start is asked for already
            closes = event.kind == EventKind.MIGRATION_FINISHED
            if not (closes and self._state.status is Status.ROLLED_BACK):
                self._end_seq = event.seq
            self._runs += [event] if event.kind in _RUNS else []
        state = self._state
        measured: Sequence[Measurement] = ()
        if state.step:
            measured = self._journal.newest_measurements(migration_id, state.step, state.run, TICKS)
        return Story(
            state=state,
            lease=self._journal.lease(migration_id),
            gate_start=self._open_gate(state),
            measurements=measured,
            events=events,
            start=self._start(state),
        )

    def _start(self, state: MigrationState) -> AskedStart | None:
        if self._wanted or state.status.active:
            return None
        # before a migration nothing is noted under its id
        return asked_start(
            self._journal.events(NO_MIGRATION, EventKind.AUDIT_NOTE, after_seq=self._end_seq)
        )

    def _forget(self, migration_id: str) -> None:
        self._migration_id, self._seq, self._end_seq = migration_id, 0, 0
        self._state = MigrationState()
        self._runs = []

    def _open_gate(self, state: MigrationState) -> GateStart | None:
        """Return the run of the current step's gate, if it has no verdict yet."""
        start = newest_run(self._runs, state.step or "")
        if start is None or start.run != dict(state.runs).get(start.step):
            return None
        return start if standing_verdict(self._runs, start) is None else None


class Plans:
    """The plan that a migration began with: the active file or the guard's copy, by its hash."""

    def __init__(self, deployment: Deployment, environ: Mapping[str, str] = os.environ) -> None:
        active = Path(environ.get("BACKPACK_PLAN") or "plans/demo.yaml")
        self._paths = (active, deployment.guard_folder / "plan.yaml")
        self._plan: Plan | None = None
        self._missed = ""

    def gate(self, state: MigrationState) -> Gate | None:
        """Return the gate of the step that the migration is at, None where no file tells of it."""
        if state.plan_sha256 and state.plan_sha256 != self._missed:
            self._find(state.plan_sha256)
        if self._plan is None or self._plan.sha256 != state.plan_sha256:
            return None
        return next((one.gate for one in self._plan.steps if one.name == state.step), None)

    def _find(self, sha256: str) -> None:
        if self._plan is not None and self._plan.sha256 == sha256:
            return
        for path in self._paths:
            with suppress(PlanError, OSError):
                plan = load_plan(path)
                if plan.sha256 == sha256:
                    self._plan = plan
                    return
        self._missed = sha256
