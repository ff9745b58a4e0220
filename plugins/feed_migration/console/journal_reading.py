"""Follows the journal for the console: reads only what is new since the last look."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from feed_migration.addresses import Addresses
from feed_migration.console.gate_view import POINTS, gate_view
from feed_migration.console.view import GateRunFacts, PendingApproval, migration_view
from feed_migration.dag_run import Driver
from feed_migration.driving import driver_in
from feed_migration.errors import MigrationError
from feed_migration.events import Event, EventKind, body_number
from feed_migration.evidence import evidence_rows, verdict_line
from feed_migration.journal.pages import PagedJournal
from feed_migration.model import Decision, Gate, Measurement, Outcome, Plan
from feed_migration.phases import MigrationState, Status, fold

NOWHERE = Addresses(airflow="", prometheus="")
# A second sample, or a missed tick, is written that much later than ticks after it
LATE_SECONDS = 600.0


@dataclass
class JournalReading:
    """The newest migration of a journal, its gate under way, and the number of the last event.

    `plan` may raise MigrationError: the gate is then shown as far as the journal knows it.
    `run_state` returns how Airflow calls a DAG run, "" where it knows none.
    """

    journal: PagedJournal
    plan: Callable[[], Plan]
    approvals: Callable[[], Sequence[PendingApproval]]
    addresses: Addresses = NOWHERE
    run_state: Callable[[Driver], str] = lambda _: ""
    _seq: int = 0
    _migration_id: str = ""
    _state: MigrationState = field(default_factory=MigrationState)
    _gates: dict[str, GateRunFacts] = field(default_factory=dict)
    _newest: GateRunFacts | None = None
    _driver: Driver | None = None
    _verdicts: dict[tuple[str, str], Event] = field(default_factory=dict)
    _measured: dict[tuple[float, str], Measurement] = field(default_factory=dict)
    _measured_of: tuple[str, str, str] = ("", "", "")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sections(self) -> Mapping[str, Any]:
        """Return the sections `migration`, `gate` and `log` as they are now; of any thread."""
        with self._lock:
            return self._sections()

    def _sections(self) -> Mapping[str, Any]:
        last_seq = self.journal.last_seq()
        if last_seq != self._seq:
            self._follow(last_seq)
        state = self._state
        facts = self._gate_facts(state)
        # between two gates the last one is shown: what it came to is why the migration goes on
        shown = facts or self._newest
        verdict = self._verdicts.get((shown.step, shown.run)) if shown else None
        measured = self._measurements(state, shown)
        lease = self.journal.lease(state.migration_id) if state.migration_id else None
        approvals = self._asked() if state.status is Status.RUNNING else ()
        return {
            "migration": migration_view(
                state,
                lease=lease,
                approvals=approvals,
                gate=facts,
                driver=self._driver,
                run_state=self._run_state(state, facts),
                evidence=self._evidence(verdict, measured) if approvals else None,
            ),
            "gate": gate_view(shown, self._gate(state, shown), measured, verdict),
            "log": {"last_seq": last_seq},
        }

    def _asked(self) -> Sequence[PendingApproval]:
        """Return the questions of the DAG run that drives the migration; of any, if none joined it.

        Those of a migration that was taken back stand until Airflow has ended their run.
        """
        return [
            one
            for one in self.approvals()
            if self._driver in {None, Driver(dag_id=one.dag_id, run_id=one.run_id)}
        ]

    def _run_state(self, state: MigrationState, facts: GateRunFacts | None) -> str:
        """Return how the DAG run stands that drives the migration, or whose gate it is held at."""
        if state.status is Status.HELD and facts is not None:
            return self.run_state(Driver(dag_id=facts.dag_id, run_id=facts.run_id))
        if state.status is Status.RUNNING and self._driver is not None:
            return self.run_state(self._driver)
        return ""

    @property
    def state(self) -> MigrationState:
        """The migration as it was at the last look."""
        return self._state

    def gate_facts(self) -> GateRunFacts | None:
        """Return the run of the gate that the migration is at, as of the last look."""
        return self._gate_facts(self._state)

    def _follow(self, last_seq: int) -> None:
        latest = self.journal.latest_migration() or ""
        if latest != self._migration_id or last_seq < self._seq:
            self._migration_id, self._seq = latest, 0
            self._state, self._gates = MigrationState(), {}
            self._newest, self._verdicts, self._driver = None, {}, None
        events = self.journal.events(latest, after_seq=self._seq) if latest else []
        self._state = fold(events, self._state)
        for event in events:
            if (facts := _gate_run(event)) is not None:
                self._gates[facts.step] = self._newest = facts
            self._driver = driver_in(event) or self._driver
            if event.kind == EventKind.VERDICT:
                self._keep_verdict(event)
        self._seq = last_seq

    def _keep_verdict(self, event: Event) -> None:
        """Keep the verdict that stands for its run: the first, or a Rollback behind it."""
        of = (str(event.body.get("step", "")), str(event.body.get("run", "1")))
        if of not in self._verdicts or event.body.get("decision") == Decision.ROLLBACK:
            self._verdicts[of] = event

    def _evidence(
        self, verdict: Event | None, measured: Sequence[Measurement]
    ) -> Mapping[str, Any] | None:
        """Return what speaks for the step that waits: the last gate's verdict and criteria."""
        if verdict is None:
            return None
        return {
            "step": verdict.body.get("step"),
            "line": verdict_line(verdict.body, measured),
            "rows": [asdict(row) for row in evidence_rows(measured, self.addresses)],
        }

    def _gate_facts(self, state: MigrationState) -> GateRunFacts | None:
        step = state.held_step if state.status is Status.HELD and state.held_step else state.step
        return self._gates.get(step or "")

    def _gate(self, state: MigrationState, facts: GateRunFacts | None) -> Gate | None:
        if facts is None:
            return None
        try:
            plan = self.plan()
            # another plan's thresholds would explain nothing
            return plan.step(facts.step).gate if plan.sha256 == state.plan_sha256 else None
        except MigrationError:
            return None

    def _measurements(
        self, state: MigrationState, facts: GateRunFacts | None
    ) -> Sequence[Measurement]:
        if facts is None:
            return ()
        of = (state.migration_id, facts.step, facts.run)
        if of != self._measured_of:
            self._measured, self._measured_of = {}, of
        newest = max((tick for tick, _ in self._measured), default=0.0)
        fresh = self.journal.measurements_since(*of, newest - LATE_SECONDS)
        self._measured |= {(one.tick_seconds, one.criterion): one for one in fresh}
        self._forget()
        return [self._measured[key] for key in sorted(self._measured)]

    def _forget(self) -> None:
        """Drop what no sparkline and no budget shows: a day's gate has 70,000 measurements."""
        ticks = sorted({tick for tick, _ in self._measured})
        if len(ticks) > POINTS:
            kept_from = min(ticks[-POINTS], ticks[-1] - LATE_SECONDS)
            self._measured = {
                key: one
                for key, one in self._measured.items()
                if key[0] >= kept_from or one.counts_as is Outcome.FAILURE
            }


def _gate_run(event: Event) -> GateRunFacts | None:
    started = body_number(event.body, "started_unix")
    if event.kind != EventKind.STEP_STARTED or started is None or "key" not in event.body:
        return None
    return GateRunFacts(
        step=str(event.body.get("step", "")),
        run=str(event.body.get("run", "1")),
        key=str(event.body["key"]),
        started_unix=started,
    )
