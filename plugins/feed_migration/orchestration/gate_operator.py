"""A gate as a deferrable task: it begins or rejoins the run, waits in a trigger, then acts."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from feed_migration import phases
from feed_migration.errors import ClockSilent, FleetChanged, PlanChanged
from feed_migration.gates.record import GateStart, explain, recorded_verdict, standing_of
from feed_migration.model import Decision, Gate
from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.act_operators import ForwardOperator, migration_of
from feed_migration.orchestration.actor import actor_of, run_key
from feed_migration.orchestration.gate_beginning import Beginning
from feed_migration.orchestration.gate_trigger import SETTLE_SECONDS, GateTrigger
from feed_migration.orchestration.passed import announce
from feed_migration.orchestration.runtime import Runtime, open_runtime
from feed_migration.orchestration.telling import HeldFailure, telling
from feed_migration.phases import Status

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

# What a triggerer may be dead for at the end of a gate before the wait itself fails.
SLACK_SECONDS = 120.0


def overtime_seconds(gate: Gate) -> float:
    """Return how long after `max_duration` a gate may still be Running, and the wait for it go on.

    Its last tick is the first one at or after the end, and waits for its second samples; where
    Prometheus is away just then, nothing is decided for as long as blindness is borne.
    """
    confirm_seconds = max((one.confirm_interval_seconds for one in gate.criteria), default=0.0)
    last_seconds = gate.interval_seconds + gate.evaluation_delay_seconds + confirm_seconds
    return last_seconds + gate.blind_limit_seconds + SLACK_SECONDS


class GateOperator(ForwardOperator):
    """Watch one step; success is the journal's Promote, anything else fails without a retry."""

    def __init__(
        self,
        *,
        step: str,
        gate: Gate,
        settle_seconds: float = SETTLE_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.step, self.gate = step, gate
        self.overtime_seconds = overtime_seconds(gate)
        self.longest_seconds = gate.max_duration_seconds + self.overtime_seconds
        self.settle_seconds = settle_seconds

    def act(self, runtime: Runtime, context: Any) -> str:
        """Begin or rejoin the run and defer, unless its verdict is in the journal already."""
        migration_id = migration_of(context)
        events = runtime.journal.events(migration_id, but=phases.WITHOUT_EFFECT)
        state = phases.fold(events)
        # a new run of the held step is how its hold ends; one of another step must not end it
        held_here = state.held_at == self.step
        if self.step in state.promoted and not held_here:
            return f"{self.step} is promoted already"
        if state.status in {Status.RUNNING, Status.HELD}:
            if held_here:
                runtimes.require_plan(runtime, state)
                runtimes.require_same_fleet(runtime, state)
            else:
                runtimes.require_open(runtime, self.step, state)
            runtimes.require_moved(runtime, self.step, state)
        clock = runtimes.gate_clock(self.place)
        start = Beginning(
            journal=runtime.journal,
            migration_id=migration_id,
            step=self.step,
            gate=self.gate,
            clock=clock,
            seen=standing_of(events, self.step),
        ).join(run_key(context), actor_of(context))
        if (verdict := recorded_verdict(runtime.journal, start)) is not None:
            return self._settle(runtime, context, start, verdict)
        self.log.info("run %s of gate %s began at %.0f", start.run, self.step, start.started_unix)
        raise TaskDeferred(
            trigger=GateTrigger(
                place=self.place,
                start=asdict(start),
                settle_seconds=self.settle_seconds,
                plan_sha256=state.plan_sha256,
            ),
            method_name="resume",
            timeout=self._timeout(start, clock),
        )

    def resume(self, context: Any, event: dict[str, Any]) -> str:
        """Take the trigger's verdict: promote the step, or fail for good.

        A Rollback needs neither the plan nor a journal that answers; the others wait for it.
        """
        with telling(self.place):
            if event["decision"] == Decision.ROLLBACK:
                journal = runtimes.journal_for_rollback(self.place)
                raise self._taken_back(journal, context, migration_of(context), event)
            with self.refusing(context):
                return self.journal_patience.outlast(context, lambda: self._resume(context, event))

    def _resume(self, context: Any, event: dict[str, Any]) -> str:
        start = GateStart(
            migration_id=migration_of(context),
            step=self.step,
            run=str(event["run"]),
            started_unix=float(event.get("started_unix", 0.0)),
        )
        return self._settle(open_runtime(self.place), context, start, event)

    def _settle(
        self, runtime: Runtime, context: Any, start: GateStart, verdict: dict[str, Any]
    ) -> str:
        text, actor = explain(verdict), actor_of(context)
        if verdict["decision"] == Decision.PROMOTE:
            try:
                runtimes.promote(runtime, self.step, start.migration_id, actor)
            except (PlanChanged, FleetChanged) as error:
                # nothing is bad, and nothing may go on: for a person, who restores the file
                self._hold(runtime, start, actor, str(error))
                raise HeldFailure(f"gate {self.step}: {error}") from error
            announce(context, runtime.journal.state(start.migration_id), self.step, actor)
            return text
        if verdict["decision"] == Decision.HOLD:
            self._hold(runtime, start, actor, text)
            raise HeldFailure(f"gate {self.step}: {text}")
        if verdict["decision"] == Decision.ROLLBACK:
            raise self._taken_back(runtime.journal, context, start.migration_id, verdict)
        raise AirflowFailException(f"gate {self.step}: {text}")

    def _hold(self, runtime: Runtime, start: GateStart, actor: str, reason: str) -> None:
        """Write that the step is held, unless that is written."""
        if self._is_to_be_held(runtime, start):
            body = {"step": self.step, "reason": reason}
            who = {"migration_id": start.migration_id, "actor": actor}
            runtime.journal.append("held", body=body, **who)

    def _is_to_be_held(self, runtime: Runtime, start: GateStart) -> bool:
        """Whether nobody has written this run's hold: a person, or this task before it was killed.

        A later run of the gate, by which a person goes on, is not held by a word on this one.
        """
        state = runtime.journal.state(start.migration_id)
        is_held = state.status is Status.HELD and state.held_step == self.step
        return not is_held and dict(state.runs).get(self.step) == start.run

    def _taken_back(
        self,
        journal: "Journal | None",
        context: Any,
        migration_id: str,
        verdict: dict[str, Any],
    ) -> AirflowFailException:
        """Put the fleet back here and now; return the failure to end with.

        The rollback task may have ended before, with a hold. What fails here is left to it.
        """
        text = reason = f"gate {self.step}: {explain(verdict)}"
        state = runtimes.state_if_any(journal, migration_id)
        if state and state.status in {Status.ROLLING_BACK, Status.ROLLED_BACK}:
            # begun from outside, or by this task before it was killed: the reason stands
            reason = state.reason or text
        try:
            if state is None or state.status is not Status.PROMOTED:
                runtimes.revert(self.place, journal, migration_id, actor_of(context), reason)
        except Exception:
            self.log.exception("not back on ccxt yet, the task rollback.revert goes on")
        return AirflowFailException(text)

    def _timeout(self, start: GateStart, clock: Callable[[], float]) -> timedelta:
        """Return for how long to wait: Airflow's own limit must never end a gate that may go on.

        A trigger that begins anew late in a gate, or after it, may be blind for as long as any.
        """
        try:
            left_seconds = start.started_unix + self.longest_seconds - clock()
        except ClockSilent:
            # joined again while Prometheus is away: its trigger knows for how long that is borne
            left_seconds = self.longest_seconds
        return timedelta(seconds=max(left_seconds, self.overtime_seconds))
