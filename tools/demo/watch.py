"""Follows a migration from outside: journal, fleet and Airflow, until its DAG run ends."""

import time
from collections.abc import Callable
from contextlib import suppress

import requests

from feed_migration.airflow_api import AirflowApi
from feed_migration.errors import MigrationError
from feed_migration.journal.store import Journal
from feed_migration.model import Measurement, Plan
from feed_migration.phases import MigrationState
from tools.demo.faults import FAULT_STEP, inject
from tools.demo.layout import DemoError
from tools.demo.progress import CriterionRow, Snapshot
from tools.demo.stack import Stack

POLL_SECONDS = 0.5
DEADLINE_SECONDS = 900.0
# what a step takes beside its gate, measured on two cores: tasks to start, processes to restart
STEP_OVERHEAD_SECONDS = 15.0
_ENDED = {"success", "failed"}


class Watch:
    """One migration under way. `follow` shows every snapshot and returns the DAG run's state."""

    def __init__(
        self,
        stack: Stack,
        airflow: AirflowApi,
        plan: Plan,
        journal: Journal,
        *,
        fault: str | None,
        began: float,
    ) -> None:
        self._stack = stack
        self._airflow = airflow
        self._plan = plan
        self._journal = journal
        self._fault = fault
        self.injected = False
        self._began = began
        self.migration_id: str | None = None

    def follow(self, run_id: str, show: Callable[[Snapshot], None]) -> str:
        """Poll until the DAG run is over. Raises DemoError after DEADLINE_SECONDS."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        state = ""
        while time.monotonic() < deadline:
            # a killed api-server or a busy database only means that this poll sees nothing
            with suppress(requests.RequestException, MigrationError):
                state = self._airflow.run_state("backpack_migration", run_id)
                show(self._snapshot())
            if state in _ENDED:
                return state
            time.sleep(POLL_SECONDS)
        raise DemoError(
            f"the migration did not end within {DEADLINE_SECONDS / 60:.0f} minutes: "
            f"see {self._stack.layout.home / 'logs'}"
        )

    def _snapshot(self) -> Snapshot:
        self.migration_id = self.migration_id or self._journal.latest_migration()
        state = self._journal.state(self.migration_id) if self.migration_id else MigrationState()
        self._inject_when_due(state)
        began_at, newest = self._newest_event()
        gate = self._plan.step(state.step).gate if state.step else None
        elapsed = None if gate is None or began_at is None else time.time() - began_at  # noqa: TID251
        return Snapshot(
            elapsed_seconds=time.monotonic() - self._began,
            status=str(state.status),
            steps=[step.name for step in self._plan.steps],
            promoted=state.promoted,
            step=state.step,
            gate_elapsed_seconds=elapsed,
            gate_min_seconds=gate.min_duration_seconds if gate else None,
            seconds_left=self._seconds_left(state, elapsed),
            instances=[(s.id, str(s.variant), s.ready) for s in self._stack.fleet.instances()],
            criteria=self._criteria(state),
            fault=self._fault if self.injected else None,
            last_event=newest,
        )

    def _inject_when_due(self, state: MigrationState) -> None:
        """Break the venue once the gate of the fault step watches the exposed instances."""
        if not self._fault or self.injected or state.step != FAULT_STEP:
            return
        if state.pending_act is None and self._measurements(state):
            inject(self._stack, self._fault)
            self.injected = True

    def _measurements(self, state: MigrationState) -> list[Measurement]:
        if not self.migration_id or not state.step:
            return []
        return self._journal.measurements(self.migration_id, state.step, state.run)

    def _criteria(self, state: MigrationState) -> list[CriterionRow]:
        newest = {m.criterion: m for m in self._measurements(state)}
        return [
            CriterionRow(m.criterion, str(m.outcome), m.value, m.threshold) for m in newest.values()
        ]

    def _newest_event(self) -> tuple[float | None, str]:
        """Return when the current step began and the newest event in words."""
        events = self._journal.events(self.migration_id) if self.migration_id else []
        starts = [event.at for event in events if event.kind == "step_started"]
        if not events:
            return None, "waiting for Airflow to start the first task"
        newest = events[-1]
        detail = newest.body.get("decision") or newest.body.get("act") or newest.body.get("step")
        words = newest.kind.replace("_", " ") + (f": {detail}" if detail else "")
        return (starts[-1] if starts else None), f"{words} ({newest.actor})"

    def _seconds_left(self, state: MigrationState, elapsed: float | None) -> float:
        left = 0.0
        for step in self._plan.steps:
            if step.name in state.promoted:
                continue
            left += STEP_OVERHEAD_SECONDS
            if step.gate is not None:
                spent = elapsed or 0.0 if step.name == state.step else 0.0
                left += max(0.0, step.gate.min_duration_seconds - spent)
        return left
