"""The waiting half of a gate: asks Prometheus at every tick and ends with the verdict.

It holds no worker slot and no state of its own. The journal has the start and the measurements, so
another triggerer continues the run at the second where this one was killed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from feed_migration.errors import ClockUnusable, MigrationError, PlanChanged
from feed_migration.gates.record import (
    GateStart,
    record_verdict,
    recorded_verdict,
)
from feed_migration.gates.standstill import Standstill
from feed_migration.lease import Lease
from feed_migration.model import Decision, Gate, Step, Verdict
from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.place import Place

if TYPE_CHECKING:
    from feed_migration.gates.run import GateRun
    from feed_migration.phases import MigrationState

# An event within the first seconds can overtake the deferral itself (apache/airflow #66374).
SETTLE_SECONDS = 5.0
POLL_SECONDS = 1.0
MIN_PAUSE_SECONDS = 0.1
# Where the plan itself cannot be read any more
PLANLESS_LIMIT_SECONDS = 120.0
UNDER_WAY = frozenset({"running", "held"})


class GateTrigger(BaseTrigger):
    """Tick a `GateRun` until it decides; the single event is the verdict's journal body.

    The gate is that of the plan that the migration began with, of which `plan_sha256` is the hash:
    an edit neither loosens an open gate nor leaves it without a judge.
    """

    def __init__(
        self,
        *,
        place: Place | dict[str, str],
        start: dict[str, Any],
        settle_seconds: float = SETTLE_SECONDS,
        plan_sha256: str = "",
        clock: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        host_clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
    ) -> None:
        super().__init__()
        self.place = place if isinstance(place, Place) else Place.from_json(place)
        self.start = GateStart(**start)
        self.settle_seconds = settle_seconds
        self.plan_sha256 = plan_sha256
        self.clock = clock or runtimes.gate_clock(self.place)
        self.monotonic = monotonic
        self.host_clock = host_clock
        self._plans = runtimes.begun_plans(self.place)
        self._gate_run: GateRun | None = None
        self._runtime: runtimes.Runtime | None = None
        self._lease: Lease | None = None
        self._blind_since: float | None = None
        self._seen_unix = self.start.started_unix
        self._standstill = Standstill()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and JSON arguments."""
        return (
            "feed_migration.orchestration.gate_trigger.GateTrigger",
            {
                "place": self.place.to_json(),
                "start": asdict(self.start),
                "settle_seconds": self.settle_seconds,
                "plan_sha256": self.plan_sha256,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, no earlier than `settle_seconds` after this call."""
        began = time.monotonic()
        body = await self._decide()
        await asyncio.sleep(max(0.0, began + self.settle_seconds - time.monotonic()))
        yield TriggerEvent(body)

    async def _decide(self) -> dict[str, Any]:
        while True:
            body, pause_seconds = await asyncio.to_thread(self._round)
            if body is not None:
                return body
            await asyncio.sleep(pause_seconds)

    def _round(self) -> tuple[dict[str, Any] | None, float]:
        """Poll in a thread: journal, Prometheus and its clock may all have to be waited for."""
        try:
            body = self.poll()
            self._blind_since = None
        except Exception as error:
            # whatever broke (a full disk, a locked journal) is blindness, and ends as such
            self.log.exception("gate %s could not be judged", self.start.step)
            now = self.monotonic()
            self._blind_since = now if self._blind_since is None else self._blind_since
            body = self._blind(error, now - self._blind_since)
        return body, self._pause_seconds()

    def _pause_seconds(self) -> float:
        """Wake for the next tick or second sample; sooner, to notice an end from outside."""
        if self._gate_run is None:
            return POLL_SECONDS
        try:
            due_seconds = self._gate_run.next_due_unix() - self.clock()
        except ClockUnusable:
            # the next round says so, as blindness
            return POLL_SECONDS
        return min(max(due_seconds, MIN_PAUSE_SECONDS), POLL_SECONDS)

    def poll(self) -> dict[str, Any] | None:
        """Judge all ticks that are due; return the verdict's body once there is one."""
        runtime = self._runtime = self._runtime or runtimes.open_runtime(self.place)
        if (known := recorded_verdict(runtime.journal, self.start)) is not None:
            return known
        state = runtime.journal.state(self.start.migration_id)
        if str(state.status) not in UNDER_WAY:
            return self._ended(f"the migration is {state.status}")
        # in this order: a process that is stopped in between has missed ticks, not a clock
        began = self.monotonic()
        now = self._now(runtime, state)
        step = self._step(runtime, state, now)
        self._gate_run = self._gate_run or runtimes.open_gate_run(runtime, self.start, step)
        self._renew(runtime, self._gate_run.gate, now)
        verdict = self._ticked(self._gate_run, now)
        if not verdict.final:
            newest = self._gate_run.newest_seconds
            first_in = self.start.started_unix - now
            gate = self._gate_run.gate
            verdict = self._standstill.verdict(gate, newest, began, first_in=first_in)
        if not verdict.final:
            return None
        # by Prometheus's clock alone: it and ours may be apart
        tick_unix = self.start.started_unix + verdict.at_seconds
        age_seconds = now + (self.monotonic() - began) - tick_unix
        breach_unix = self.host_clock() - max(0.0, age_seconds)
        return record_verdict(runtime.journal, self.start, verdict, breach_unix=breach_unix)

    def _now(self, runtime: runtimes.Runtime, state: "MigrationState") -> float:
        """Return the time by which the gate ticks; raises ClockUnusable."""
        try:
            self._seen_unix = self.clock()
        except ClockUnusable as error:
            # blind, but watched: the lease is kept, by no clock that is not gone by
            gate = self._step(runtime, state, error.unix).gate
            if gate is not None:
                self._lease = None
                self._renew(runtime, gate, error.unix)
                self._lease = None
            raise
        return self._seen_unix

    def _step(self, runtime: runtimes.Runtime, state: "MigrationState", now: float) -> Step:
        """Return the step as the migration began with it; PlanChanged where nobody has it so."""
        self.plan_sha256 = state.plan_sha256
        if self._gate_run is None:
            runtimes.note_edit(runtime, self.start, state, now)
        plan = self._plans.of(state.plan_sha256)
        if plan is None:
            raise PlanChanged(
                f"the plan has changed since migration {state.migration_id} began, "
                f"and there is no copy of {state.plan_sha256[:12]}",
                "restore the plan",
            )
        return plan.step(self.start.step)

    def _renew(self, runtime: runtimes.Runtime, gate: Gate, now: float) -> None:
        """Keep the lease of what is exposed: this gate is watched, says who asks for its ticks."""
        if self._lease is None or self._lease.is_due(now):
            renewed = runtime.journal.renew_lease(
                self.start.migration_id,
                holder=f"gate {self.start.step}",
                seconds=gate.lease_seconds,
            )
            self._lease = replace(renewed, renewed_at=now)

    def _ticked(self, gate_run: "GateRun", now: float) -> Verdict:
        verdict = gate_run.tick(now)
        self.log.info(
            "%s %+.0f s: %s %s",
            self.start.run,
            now - self.start.started_unix,
            verdict.decision,
            "; ".join(reason.text for reason in verdict.reasons),
        )
        return verdict

    def _blind(self, error: Exception, blind_seconds: float) -> dict[str, Any] | None:
        self._gate_run = self._runtime = None
        limit_seconds, decision = self._blindness()
        if blind_seconds <= limit_seconds:
            return None
        return self._ended(f"not judged for {blind_seconds:.0f} s: {error}", decision)

    def _blindness(self) -> tuple[float, Decision]:
        """Return for how long blindness is borne and how it ends, as the plan says if it can."""
        sha256, gate = self.plan_sha256, None
        with suppress(MigrationError, KeyError):
            # a gate that was deferred by an older version does not name its plan
            plan = self._plans.of(sha256) if sha256 else self.place.plan()
            gate = plan.step(self.start.step).gate if plan is not None else None
        if gate is None:
            return PLANLESS_LIMIT_SECONDS, Decision.ROLLBACK
        return gate.blind_limit_seconds, gate.on_blind

    def _ended(self, text: str, decision: Decision = Decision.ROLLBACK) -> dict[str, Any]:
        with suppress(ClockUnusable):
            self._seen_unix = self.clock()
        return {
            "step": self.start.step,
            "run": self.start.run,
            "decision": str(decision),
            "at_seconds": max(0.0, self._seen_unix - self.start.started_unix),
            "reasons": [{"criterion": "gate", "text": text}],
        }
