"""The setup task of every DAG run that moves a migration forward."""

from collections.abc import Sequence
from typing import Any

from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.act_operators import ActOperator
from feed_migration.orchestration.actor import actor_of, run_key
from feed_migration.orchestration.joining import Applicant, join_migration
from feed_migration.orchestration.place import PROJECT_ROOT
from feed_migration.orchestration.preflight import preflight
from feed_migration.orchestration.runtime import Runtime


class BeginOperator(ActOperator):
    """Setup task: preflight, then begin or join the migration. Returns its id.

    Nothing is written before every check has passed, so a failure leaves nothing behind.
    """

    def __init__(self, *, steps: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = tuple(steps)

    def act(self, runtime: Runtime, context: Any) -> str:
        """Check, then begin or join; the checks are the plan's preflight step."""
        fresh = runtime.journal.active_migration() is None
        fleet = runtimes.open_fleet(runtime.deployment)
        checks = preflight(runtime.deployment, fleet, PROJECT_ROOT, fresh=fresh)
        self.log.info("preflight passed: %s", ", ".join(checks))
        return join_migration(
            runtime.journal,
            runtime.plan,
            self._applicant(context),
            run_state=context["ti"].get_dagrun_state,
            fleet_epoch=fleet.epoch(),
        )

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
        )
