"""The setup task of every DAG run that moves a migration forward."""

from collections.abc import Sequence
from typing import Any

from feed_migration.errors import EnvironmentUnavailable, MigrationError
from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.act_operators import ActOperator
from feed_migration.orchestration.actor import actor_of, run_key
from feed_migration.orchestration.joining import Applicant, drives, join_migration
from feed_migration.orchestration.passed import announce
from feed_migration.orchestration.place import PROJECT_ROOT
from feed_migration.orchestration.preflight import preflight
from feed_migration.orchestration.runtime import Runtime
from feed_migration.phases import Status


class BeginOperator(ActOperator):
    """Setup task: preflight, then begin or join the migration. Returns its id.

    Nothing is written before every check has passed, so a failure leaves nothing behind.
    """

    def __init__(self, *, steps: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = tuple(steps)

    def act(self, runtime: Runtime, context: Any) -> str:
        """Check, then begin or join; the checks are the plan's preflight step."""
        try:
            return self._begin(runtime, context)
        except EnvironmentUnavailable:
            raise
        except MigrationError as error:
            self._take_back(runtime, context, error)
            raise

    def _take_back(self, runtime: Runtime, context: Any, error: MigrationError) -> None:
        """Put back what this DAG run has exposed: a setup that fails takes no teardown with it.

        Airflow clears the setup with any task of the run, so this is not the beginning.
        """
        migration_id, actor = runtime.journal.active_migration(), actor_of(context)
        if migration_id is None or not drives(runtime.journal, migration_id, context["dag_run"]):
            return
        state = runtime.journal.state(migration_id)
        if state.exposed and state.status in {Status.RUNNING, Status.ROLLING_BACK}:
            try:
                begun = state.status is Status.ROLLING_BACK
                reason = state.reason if begun else f"begin: {error}"
                runtimes.revert(self.place, runtime.journal, migration_id, actor, reason)
                runtimes.document(runtime, migration_id, actor)
            except EnvironmentUnavailable:
                raise
            except Exception:
                self.log.exception("not back on ccxt yet, run backpack_rollback")

    def _begin(self, runtime: Runtime, context: Any) -> str:
        active = runtime.journal.active_migration()
        fresh = active is None
        if active is not None:
            # before the preflight, which would only say that some instance is not ready
            runtimes.require_same_fleet(runtime, runtime.journal.state(active))
        fleet = runtimes.open_fleet(runtime.deployment)
        checks = preflight(runtime.deployment, runtime.plan, fleet, PROJECT_ROOT, fresh=fresh)
        self.log.info("preflight passed: %s", ", ".join(checks))
        migration_id = join_migration(
            runtime.journal,
            runtime.plan,
            self._applicant(context),
            run_state=context["ti"].get_dagrun_state,
            fleet_epoch=fleet.epoch(),
            fleet=runtimes.fleet_record(runtime),
        )
        # for the gates: what is edited from now on is not what they judge by
        runtimes.begun_plans(self.place).of(runtime.plan.sha256)
        if fresh:
            state = runtime.journal.state(migration_id)
            announce(context, state, "preflight", actor_of(context))
        return migration_id

    def _applicant(self, context: Any) -> Applicant:
        params = context["params"]
        return Applicant(
            key=run_key(context),
            dag_id=context["dag_run"].dag_id,
            run_id=context["dag_run"].run_id,
            actor=actor_of(context),
            steps=self.steps,
            reason=str(params.get("reason") or ""),
            waive=bool(params.get("skip_earlier_phases")),
            asked_at=_asked_at(context["dag_run"]),
        )


def _asked_at(dag_run: Any) -> float | None:
    """Return when a person asked for it; for one that was cleared somebody has asked since."""
    return None if dag_run.clear_number else float(dag_run.run_after.timestamp())
