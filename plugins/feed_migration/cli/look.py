"""What `status` looks at: the journal, read on from where it was, the plan, fleet and Airflow."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from feed_migration import phases
from feed_migration.airflow_api import AirflowApi
from feed_migration.cli.asked_start import AskedStart, asked_start
from feed_migration.dag_run import OVER, Driver, EndedRun
from feed_migration.deployment import Deployment
from feed_migration.document.reader import PlanError
from feed_migration.driving import JOINED, driver_in
from feed_migration.errors import Refused
from feed_migration.events import Event, EventKind, body_names
from feed_migration.gates.record import GateStart, newest_run, standing_verdict
from feed_migration.holding import pending_approval
from feed_migration.journal.refusals import NO_MIGRATION
from feed_migration.journal.store import Journal
from feed_migration.lease import Lease
from feed_migration.model import Gate, Measurement, Plan
from feed_migration.notices.overtaken import APPROVAL_ASKED
from feed_migration.phases import MigrationState, Status
from feed_migration.plan.reader import load_plan

# What a sparkline and the list of events can show
TICKS = 60
EVENTS = 40
# What one look waits for each answer of an Airflow that may hang: the rest of it needs none
RUN_SECONDS = 2.0
_RUNS = frozenset({EventKind.STEP_STARTED, EventKind.VERDICT})


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the journal tells of one migration; see `situation.Situation`.

    `start` was asked for since the migration ended, and no other has come of it yet. `driver` is
    the DAG run that joined it last, while it is that which is to go on. `may_answer` are the names
    of those whom the plan lets answer the approval that waits, empty where it names nobody.
    """

    state: MigrationState = field(default_factory=MigrationState)
    lease: Lease | None = None
    gate_start: GateStart | None = None
    measurements: Sequence[Measurement] = ()
    events: Sequence[Event] = ()
    start: AskedStart | None = None
    driver: Driver | None = None
    may_answer: Sequence[str] = ()


class JournalView:
    """One migration in the journal, the newest unless it is named; `read` again reads on."""

    def __init__(self, journal: Journal, migration_id: str | None = None) -> None:
        self._journal, self._wanted = journal, migration_id
        self._migration_id, self._seq, self._end_seq = "", 0, 0
        # the last note of each kind that was read
        self._joined_seq = self._asked_seq = 0
        self._state = MigrationState()
        self._driver: Driver | None = None
        self._approvers: dict[str, tuple[str, ...]] = {}
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
        state, lease = self._state, self._journal.lease(migration_id)
        measured: Sequence[Measurement] = ()
        if state.step:
            measured = self._journal.newest_measurements(migration_id, state.step, state.run, TICKS)
        return Story(
            state=state,
            lease=lease,
            gate_start=self._open_gate(state),
            measurements=measured,
            events=events,
            start=self._start(state),
            driver=self._driving(state),
            may_answer=self._may_answer(state, lease),
        )

    def _driving(self, state: MigrationState) -> Driver | None:
        if state.status is not Status.RUNNING:
            return None
        notes = self._journal.events(
            state.migration_id, EventKind.AUDIT_NOTE, after_seq=self._joined_seq, text=JOINED
        )
        for note in notes:
            self._joined_seq, self._driver = note.seq, driver_in(note) or self._driver
        return self._driver

    def _may_answer(self, state: MigrationState, lease: Lease | None) -> tuple[str, ...]:
        """Return who may answer what is asked now, as was noted when it was asked."""
        if (asked := pending_approval(state, lease)) is None:
            return ()
        notes = self._journal.events(
            state.migration_id,
            EventKind.AUDIT_NOTE,
            after_seq=self._asked_seq,
            text=APPROVAL_ASKED,
        )
        for note in notes:
            self._asked_seq = note.seq
            if note.body.get("note") == APPROVAL_ASKED:
                names = body_names(note.body, "approvers")
                self._approvers[str(note.body.get("step"))] = names
        return self._approvers.get(asked.step, ())

    def _start(self, state: MigrationState) -> AskedStart | None:
        if self._wanted or state.status.active:
            return None
        # before a migration nothing is noted under its id
        return asked_start(
            self._journal.events(NO_MIGRATION, EventKind.AUDIT_NOTE, after_seq=self._end_seq)
        )

    def _forget(self, migration_id: str) -> None:
        self._migration_id, self._seq, self._end_seq = migration_id, 0, 0
        self._joined_seq = self._asked_seq = 0
        self._state, self._driver, self._runs = MigrationState(), None, []
        self._approvers = {}

    def _open_gate(self, state: MigrationState) -> GateStart | None:
        """Return the run of the current step's gate, if it has no verdict yet."""
        start = newest_run(self._runs, state.step or "")
        if start is None or start.run != dict(state.runs).get(start.step):
            return None
        return start if standing_verdict(self._runs, start) is None else None


def ended_run(airflow: AirflowApi, driver: Driver | None) -> EndedRun | None:
    """Return the DAG run that drives a migration where Airflow calls it over, else None.

    None, too, where Airflow knows of no such run. Raises `AirflowUnavailable`.
    """
    if driver is None:
        return None
    with suppress(Refused):
        state = airflow.run_state(driver.dag_id, driver.run_id)
        return EndedRun(run=driver, state=state) if state in OVER else None
    return None


def read_with_run(view: JournalView, deployment: Deployment) -> tuple[Story, EndedRun | None]:
    """Return the story, and its DAG run where that is over; raises `JournalUnavailable`.

    An Airflow that does not answer, or not to us, or nonsense, calls none over.
    """
    story, ended = view.read(), None
    if story.driver is not None:
        with (
            # whatever it is, the look goes on
            suppress(Exception),
            AirflowApi(deployment.airflow, timeout_seconds=RUN_SECONDS) as airflow,
        ):
            ended = ended_run(airflow, story.driver)
    if ended is None:
        return story, None
    # its last tasks may have told of the migration's end, or another run joined, since the first
    story = view.read()
    return story, ended if ended.run == story.driver else None


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
