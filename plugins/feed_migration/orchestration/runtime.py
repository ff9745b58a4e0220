"""What a task holds while it acts.

The heavy libraries (SQLAlchemy, supervisor, prometheus-api-client) are imported here, at execution
only: Airflow imports every DAG file for each task, and the parser must touch no database.
"""

# ruff: noqa: PLC0415 - deferring these imports is what this module is for

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from feed_migration.document.reader import PlanError
from feed_migration.errors import MigrationError, PlanChanged
from feed_migration.model import Plan, Step
from feed_migration.orchestration.audit_key import signer_of_connection
from feed_migration.orchestration.place import PROJECT_ROOT, Place
from feed_migration.plan.copy import PlanCopy

if TYPE_CHECKING:
    from feed_migration.cutover import CutoverResult
    from feed_migration.deployment import Deployment
    from feed_migration.fleet.base import Fleet
    from feed_migration.gates.record import GateStart
    from feed_migration.gates.run import GateRun
    from feed_migration.journal.spool import Spool
    from feed_migration.journal.store import Journal
    from feed_migration.phases import MigrationState
    from feed_migration.prometheus.client import PrometheusSource

QUERY_TIMEOUT_SECONDS = 10.0
# what a locked journal may cost a rollback before it goes on without
ROLLBACK_LOCK_WAIT_SECONDS = 2.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One deployment with its open journal, and its plan once that is asked for."""

    place: Place
    deployment: "Deployment"
    journal: "Journal"

    @cached_property
    def plan(self) -> Plan:
        """The plan; read late, since a mistake in it must not stop what needs none."""
        return self.place.plan()

    def expected_instances(self, step: Step, migration_id: str) -> int:
        """Return how many native instances `expect_series: fleet` means at `step`.

        Of the fleet that the migration began with: an edit must not let one go unwatched.
        """
        from feed_migration.cutover import expected_instances
        from feed_migration.fleet.known import sizes

        fleet, shadows = sizes(self.deployment, self.journal.state(migration_id).fleet)
        return expected_instances(step, fleet=fleet, shadows=shadows)

    def step(self, name: str) -> Step:
        """Return a step of the plan by name."""
        return self.plan.step(name)


def open_runtime(place: Place) -> Runtime:
    """Read the deployment and open the journal of `place`."""
    from feed_migration.deployment import load_deployment
    from feed_migration.journal.store import Journal

    deployment = load_deployment(place.home)
    return Runtime(
        place=place,
        deployment=deployment,
        journal=Journal(
            deployment.journal_url, home=deployment.home, signer=signer_of_connection()
        ),
    )


def journal_for_rollback(place: Place) -> "Journal | None":
    """Return the journal if it answers within seconds: the way back waits for nothing longer."""
    from feed_migration.deployment_copy import read_or_copy
    from feed_migration.journal.store import Journal

    # a wrong URL in the environment must not stop the way back
    deployment = read_or_copy(place.home, {})
    try:
        return Journal(
            deployment.journal_url,
            home=deployment.home,
            lock_wait_seconds=ROLLBACK_LOCK_WAIT_SECONDS,
            signer=signer_of_connection(),
        )
    except Exception:
        # whatever it is, it must not keep the fleet where it is
        LOG.exception("the journal does not answer, the rollback goes on without")
        return None


def open_spool(place: Place) -> "Spool":
    """Return where events wait for a journal that does not answer."""
    from feed_migration.deployment_copy import read_or_copy
    from feed_migration.journal.spool import Spool

    return Spool(read_or_copy(place.home, {}).spool_file)


def open_fleet(deployment: "Deployment") -> "Fleet":
    """Return the driver of the fleet that the deployment names."""
    from feed_migration.fleet.choice import open_fleet

    return open_fleet(deployment)


def open_fleet_of(runtime: Runtime, state: "MigrationState") -> "Fleet":
    """Return the driver of the fleet that it began with; see `known_way_back.open_known`."""
    from feed_migration.guard.known_way_back import open_known

    return open_known(runtime.deployment, state.fleet, open_fleet)


def fleet_record(runtime: Runtime) -> dict[str, Any]:
    """Return the fleet as the migration that begins now remembers it."""
    from feed_migration.fleet.known import record

    return record(runtime.deployment)


def require_same_fleet(runtime: Runtime, state: "MigrationState") -> None:
    """Raise FleetChanged unless deployment.yaml names what the migration began with."""
    from feed_migration.fleet.known import require_same

    require_same(runtime.deployment, state.fleet, state.migration_id)


def open_source(deployment: "Deployment") -> "PrometheusSource":
    """Return the source that a gate asks."""
    from feed_migration.prometheus.client import PrometheusSource

    return PrometheusSource(deployment.prometheus_url, QUERY_TIMEOUT_SECONDS)


def gate_clock(place: Place) -> Callable[[], float]:
    """Return the clock by which gates tick: a step of this host's own must not look like a gap.

    It raises ClockSilent until Prometheus has answered once, and the deployment could be read.
    """
    from feed_migration.deployment import load_deployment
    from feed_migration.prometheus.clock import PrometheusClock

    def look() -> float | None:
        try:
            return open_source(load_deployment(place.home)).now_unix()
        except MigrationError:
            return None

    return PrometheusClock(look, lambda: time.time(), time.monotonic)  # noqa: PLW0108, TID251


def begun_plans(place: Place) -> PlanCopy:
    """Return where the plan of a migration is found by its hash, whatever the file says by now."""
    return PlanCopy(place.plan_path, place.home / "plan")


def note_edit(runtime: Runtime, start: "GateStart", state: "MigrationState", at: float) -> None:
    """Note once per run of a gate that an edit of its plan was refused; `at` is unix seconds."""
    from feed_migration import cutover
    from feed_migration.journal.refusals import note_refusal

    try:
        cutover.require_plan(runtime.place.plan(), state)
    except PlanChanged as error:
        note_refusal(
            runtime.journal,
            open_spool(runtime.place),
            error,
            at=at,
            actor=f"gate {start.step}",
            migration_id=start.migration_id,
            where={"step": start.step, "run": start.run},
        )
    except PlanError as error:
        LOG.warning("gate %s goes on by the plan that it began with: %s", start.step, error)


def open_gate_run(runtime: Runtime, start: "GateStart", step: Step) -> "GateRun":
    """Return the run of a gate of `step`, resumed from the measurements that the journal has."""
    from feed_migration.gates.run import GateRun

    if step.gate is None:
        raise ValueError(f"step {start.step} of {runtime.place.plan_path} has no gate")
    return GateRun(
        gate=step.gate,
        step_name=start.step,
        migration_id=start.migration_id,
        started_unix=start.started_unix,
        fleet_size=runtime.expected_instances(step, start.migration_id),
        source=open_source(runtime.deployment),
        journal=runtime.journal,
        run=start.run,
    )


def advance(runtime: Runtime, step: str, migration_id: str, actor: str) -> "CutoverResult":
    """Bring `step` about; see `cutover.advance`."""
    from feed_migration import cutover

    state = runtime.journal.state(migration_id)
    require_same_fleet(runtime, state)
    fleet = open_fleet_of(runtime, state)
    return cutover.advance(
        runtime.step(step), runtime.plan, fleet, runtime.journal, migration_id, actor
    )


def promote(runtime: Runtime, step: str, migration_id: str, actor: str) -> None:
    """Write that `step` is done; see `cutover.promote`."""
    from feed_migration import cutover

    require_same_fleet(runtime, runtime.journal.state(migration_id))
    cutover.promote(runtime.step(step), runtime.plan, runtime.journal, migration_id, actor)


def require_open(runtime: Runtime, step: str, state: "MigrationState") -> None:
    """Raise unless work on `step` may begin; see `cutover.require_open`."""
    from feed_migration import cutover

    require_same_fleet(runtime, state)
    cutover.require_open(runtime.step(step), runtime.plan, state)


def require_plan(runtime: Runtime, state: "MigrationState") -> None:
    """Raise PlanChanged unless the plan is the one that the migration began with."""
    from feed_migration import cutover

    cutover.require_plan(runtime.plan, state)


def require_moved(runtime: Runtime, step: str, state: "MigrationState") -> None:
    """Raise unless what the gate of `step` would watch has been done."""
    from feed_migration import cutover

    cutover.require_moved(runtime.step(step), state)


def natives(runtime: Runtime, state: "MigrationState") -> tuple[str, ...]:
    """Return what runs native; what the journal says may do so where the fleet does not answer."""
    try:
        statuses = open_fleet(runtime.deployment).instances()
    except Exception:
        LOG.exception("the fleet does not say what it runs")
        return state.exposed
    unsure = {s.id for s in statuses if s.variant not in {"ccxt", "native"}} & set(state.exposed)
    found = tuple(s.id for s in statuses if s.variant == "native" or s.id in unsure)
    # what deployment.yaml has lost may run on
    return (*found, *sorted(set(state.exposed) - {s.id for s in statuses}))


def require_native(runtime: Runtime) -> None:
    """Raise NotReady naming the instances that are not on native and ready in time."""
    fleet = open_fleet(runtime.deployment)
    names = [status.id for status in fleet.instances()]
    fleet.wait_ready(names, "native", fleet.ready_deadline_seconds)


def revert(
    place: Place, journal: "Journal | None", migration_id: str, actor: str, reason: str
) -> None:
    """Put the fleet back on ccxt and verify it, or join who does; see `take_back.take_back`."""
    from feed_migration.deployment_copy import read_or_copy
    from feed_migration.guard.known_way_back import open_known, remembered
    from feed_migration.journal.spool import Spool
    from feed_migration.take_back import take_back

    # a wrong URL in the environment must not stop the way back
    deployment = read_or_copy(place.home, {})
    known = remembered(deployment, journal, migration_id)
    take_back(
        open_known(deployment, known.fleet, open_fleet),
        journal,
        migration_id,
        actor,
        reason,
        exposed=known.exposed,
        spool=Spool(deployment.spool_file),
    )


def known_migration(place: Place) -> str | None:
    """Return which migration the guard's copy names, for want of a journal."""
    from feed_migration.deployment_copy import read_or_copy
    from feed_migration.guard.known_way_back import known_migration

    return known_migration(read_or_copy(place.home, {}))


def state_if_any(journal: "Journal | None", migration_id: str) -> "MigrationState | None":
    """Return where the migration is; None, not an error, where the journal does not say."""
    from feed_migration.take_back import state_if_any

    return state_if_any(journal, migration_id)


def document(runtime: Runtime, migration_id: str, actor: str) -> str:
    """Append the incident to the runbook page; see `report.document_incident`."""
    from feed_migration.report.pages import document_incident

    return str(document_incident(runtime.deployment, runtime.journal, migration_id, actor))


def close_promoted(runtime: Runtime, migration_id: str, actor: str) -> str:
    """Write the report and finish the migration; see `closing.close_promoted`.

    Raises FleetChanged or NotReady unless every instance that it began with is on native and ready
    when the migration is finished.
    """
    from feed_migration.orchestration import closing
    from feed_migration.phases import Status

    state = runtime.journal.state(migration_id)
    if state.status is Status.RUNNING:
        require_same_fleet(runtime, state)
        require_native(runtime)
    fleet = open_fleet(runtime.deployment)
    page = runtime.place.home / "docs" / "migrations" / f"{migration_id}.md"
    closing.close_promoted(
        runtime.journal,
        migration_id,
        actor,
        instances={status.id: status.variant for status in fleet.instances()},
        page=page,
        root=runtime.deployment.checkout or PROJECT_ROOT,
        parity=runtime.deployment.parity_folder,
    )
    return str(page)
