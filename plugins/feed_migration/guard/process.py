"""The guard's loop: read, decide, watch or revert, and say how it is."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from feed_migration.cutover import expected_instances
from feed_migration.deployment import Deployment
from feed_migration.errors import MigrationError
from feed_migration.fleet.known import sizes
from feed_migration.gates.record import explain
from feed_migration.guard.audit import AuditLook
from feed_migration.guard.decision import Act, Clocks, Next, decide
from feed_migration.guard.gate_reader import GateReader
from feed_migration.guard.knowledge import Known
from feed_migration.guard.lease_clock import LeaseClock
from feed_migration.guard.reading import Reading
from feed_migration.guard.reverting import Reverting
from feed_migration.guard.sight import Health, Sight
from feed_migration.guard.watch import Breach, Watch
from feed_migration.guard.watcher import Watcher
from feed_migration.model import PHASES, Plan, Step
from feed_migration.phases import Status
from feed_migration.plan.copy import PlanCopy
from feed_migration.prometheus.client import PrometheusSource
from feed_migration.prometheus.clock import PrometheusClock

QUERY_TIMEOUT_SECONDS = 5.0
_BEHIND_CUTOVER = PHASES[PHASES.index("cutover") + 1 :]
LOG = logging.getLogger(__name__)


def watched_step(plan: Plan, name: str) -> Step:
    """Return the step of that name, or the last one before it with a gate; raises UnknownStep.

    A proven fleet whose report is yet to be written is watched as it was before.
    """
    step = plan.step(name)
    until = plan.steps[: plan.steps.index(step) + 1]
    return next((one for one in reversed(until) if one.gate is not None), step)


def exposing_step(plan: Plan, known: Known) -> Step | None:
    """Return the step as which the exposure is watched, None before the first act is confirmed.

    That of an open gate, if there is one. Else, from the start of a step until its act is
    confirmed, the fleet is what the act before made of it: one that was cut short may have moved
    more, never less. Raises UnknownStep.
    """
    step = watched_step(plan, known.step)
    moved = known.moved
    if known.gate_started_unix is not None or moved is None:
        return step
    reached = plan.steps[: plan.steps.index(step) + 1]
    exposing = (
        one
        for one in reversed(plan.steps)
        if one.name in moved or (one.phase in _BEHIND_CUTOVER and one in reached)
    )
    return next((one for one in exposing if one.gate is not None and one.phase != "shadow"), None)


class Guard:
    """One guard over one deployment; `poll` does one round and raises nothing on purpose.

    `actor` is who it is in the journal: the same guard after a restart has the same name.
    """

    def __init__(
        self,
        deployment: Deployment,
        plan_path: Path,
        *,
        actor: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deployment = deployment
        self._actor = actor
        self._clock, self._monotonic = clock, monotonic
        self._reading = Reading(deployment, clock, monotonic)
        self._reverting = Reverting(deployment, actor, clock, monotonic)
        self._plans = PlanCopy(plan_path, deployment.guard_folder)
        self._lease = LeaseClock()
        source = PrometheusSource(deployment.prometheus_url, QUERY_TIMEOUT_SECONDS)
        self._watcher = Watcher(
            lambda: Watch(source, PrometheusClock(source.now_unix, clock, monotonic), monotonic),
            monotonic,
        )
        self._gates = GateReader(monotonic)
        self._audit = AuditLook(monotonic)
        self._known: Known | None = None
        self._breach: Breach | None = None
        self._rollback_said: tuple[str, float] = ("", 0.0)
        self._rollback_heard_at = 0.0
        self.health = Health()

    def poll(self) -> None:
        """Do one round."""
        # before it is asked: what was read is no older than that, however long it took to think
        began = self._monotonic()
        self._known = known = self._reading.read()
        step = self._step(known)
        left = self._lease_left(known, began)
        todo = self._decided(known, step, left, began)
        self._say(known, todo, left, reverting=todo.act is Act.REVERT)
        if known is not None:
            self._gates.look(known, step, self._reading.journal)
        if known is not None and todo.act is Act.WATCH and step is not None:
            self._look(known)
        if known is not None and todo.act is Act.REVERT:
            breach = self._own_breach(known)
            self._reading.begun(known, self._actor)
            if self._reverting.revert(known, todo.reason, breach, self._reading.journal):
                self._breach = None
                self._reading.taken_back(known)
        else:
            self._reverting.document(self._reading.journal)
        if known is not None:
            # last: what is to be done does not wait for it
            self._audit.look(known, self._reading.journal)
        self._say(known, todo, left, reverting=False)

    def close(self) -> None:
        """Let go of the watch."""
        self._watcher.close()
        self._reverting.close()
        self._gates.close()

    @property
    def sight(self) -> Sight:
        """What it sees now; for any thread."""
        return Sight(
            health=self.health,
            fleet_size=len(self._deployment.instances),
            known=self._known,
            story=self._reading.story,
            gate=self._gates.view,
            audit_intact=self._audit.intact,
        )

    def _step(self, known: Known | None) -> Step | None:
        """Return the step that the migration is at, if the plan it began with is at hand."""
        if known is None or not known.status.active:
            return None
        plan = self._plans.of(known.plan_sha256)
        with suppress(MigrationError):
            return watched_step(plan, known.step) if plan is not None else None
        return None

    def _decided(
        self, known: Known | None, step: Step | None, left: float | None, began: float
    ) -> Next:
        clocks = Clocks(
            lease_left=0.0 if left is None else left,
            journal_silent=self._reading.silent_seconds,
            rollback_silent=self._rollback_silent(known, began),
        )
        breach = self._own_breach(known)
        found = f"gate {breach.watched.step}: {explain(breach.verdict.to_json())}" if breach else ""
        return decide(known, clocks, step.gate if step else None, self._actor, breach=found)

    def _lease_left(self, known: Known | None, began: float) -> float | None:
        """Return what is left of the lease; None where the exposure needs none, see `decide`."""
        if known is None or known.status is not Status.RUNNING:
            return None
        if known.proven or not known.exposed:
            return None
        return self._lease.left_seconds(
            known.migration_id,
            known.lease,
            seen_unix=self._reading.lease_seen_at,
            now_unix=self._clock(),
            now_monotonic=began,
        )

    def _rollback_silent(self, known: Known | None, began: float) -> float:
        said = (known.rollback_actor, known.rollback_said_at) if known else ("", 0.0)
        if said != self._rollback_said:
            self._rollback_said, self._rollback_heard_at = said, began
        return began - self._rollback_heard_at

    def _own_breach(self, known: Known | None) -> Breach | None:
        """Return what the guard's own watch has found, if it is of this migration."""
        breach = self._breach
        if breach is None or known is None or breach.watched.migration_id != known.migration_id:
            return None
        return breach

    def _look(self, known: Known) -> None:
        """Have the exposure judged beside the loop."""
        plan = self._plans.of(known.plan_sha256)
        step = exposing_step(plan, known) if plan is not None else None
        if step is None or step.gate is None:
            return
        fleet, shadows = sizes(self._deployment, known.fleet)
        size = expected_instances(step, fleet=fleet, shadows=shadows)
        found = self._watcher.look(known, step.gate, size, self._reading.journal)
        self._breach = found or self._breach

    def _say(self, known: Known | None, todo: Next, left: float | None, *, reverting: bool) -> None:
        self.health = Health(
            polled_unix=self._clock(),
            polled_monotonic=self._monotonic(),
            journal_silent_seconds=self._reading.silent_seconds,
            exposed=len(known.exposed) if known and known.status is not Status.ROLLED_BACK else 0,
            lease_left_seconds=left,
            watching=todo.act is Act.WATCH and self._watcher.at_work,
            reverting=reverting,
            reverts=self._reverting.done,
            failed_reverts=self._reverting.failed,
            unproven=self._reverting.unproven,
        )
