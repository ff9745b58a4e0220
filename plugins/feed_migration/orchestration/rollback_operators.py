"""The way back as teardown tasks: they run whatever happened before, and ask only the journal."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from feed_migration.errors import JournalUnavailable
from feed_migration.events import EventKind
from feed_migration.model import Plan
from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.act_operators import BEGIN, ActOperator, migration_of
from feed_migration.orchestration.actor import actor_of
from feed_migration.orchestration.gate_record import explain
from feed_migration.orchestration.runtime import Runtime
from feed_migration.phases import MigrationState, Status

# what the events of a rollback name where there never was a migration
NO_MIGRATION = "none"


class Ending(StrEnum):
    """What becomes of the fleet when the DAG run's own steps are over."""

    KEEP = "keep"
    HOLD = "hold"
    REVERT = "revert"


def ending(state: MigrationState, plan: Plan, steps: Sequence[str]) -> Ending:
    """Return what the journal says must become of the exposure.

    A report that could not be written is no reason to move a proven fleet, so only the steps that
    a gate or a check proves count.
    """
    if state.status is Status.HELD:
        return Ending.HOLD
    if state.status in {Status.ROLLING_BACK, Status.ROLLED_BACK}:
        return Ending.REVERT
    proven = {name for name in steps if plan.step(name).phase != "post_migration"}
    return Ending.KEEP if proven <= set(state.promoted) else Ending.REVERT


class RevertOperator(ActOperator):
    """Put every instance on ccxt and verify that its data flows, unless the steps are proven."""

    def __init__(self, *, steps: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = tuple(steps)

    def execute(self, context: Any) -> Any:
        """Act as the journal says; on the last try, act without a journal that does not answer."""
        try:
            return super().execute(context)
        except JournalUnavailable as error:
            if context["ti"].try_number <= context["ti"].max_tries:
                raise
            self.log.exception("the journal is not available, so the fleet goes back")
            reason = f"the journal is not available: {error.problem}"
            runtimes.revert(self.place, None, migration_of(context), actor_of(context), reason)
            return str(Ending.REVERT)

    def act(self, runtime: Runtime, context: Any) -> str:
        """Return the ending that was carried out."""
        migration_id = migration_of(context)
        state = runtime.journal.state(migration_id)
        decision = ending(state, runtime.plan, self.steps)
        if decision is Ending.REVERT:
            runtimes.revert(
                self.place, runtime.journal, migration_id, actor_of(context), cause(state)
            )
        self.log.info("%s", decision)
        return str(decision)


def cause(state: MigrationState) -> str:
    """Return why the fleet goes back, in one line."""
    if state.reason:
        return state.reason
    verdict = state.last_verdict
    if verdict is not None and verdict.get("decision") != "Promote":
        return f"gate {verdict['step']}: {explain(dict(verdict))}"
    return f"the DAG run ended in step {state.step or 'begin'} without its Promote"


class DocumentOperator(ActOperator):
    """Append the failure indicators to the incident page, if there was a rollback."""

    def __init__(self, *, migration_from: str = BEGIN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.migration_from = migration_from

    def act(self, runtime: Runtime, context: Any) -> str | None:
        """Return the path of the page."""
        migration_id = migration_of(context, self.migration_from)
        status = runtime.journal.state(migration_id).status
        if status not in {Status.ROLLING_BACK, Status.ROLLED_BACK}:
            return None
        page = runtimes.document(runtime, migration_id, actor_of(context))
        _finish(runtime, migration_id, actor_of(context))
        return page


def _finish(runtime: Runtime, migration_id: str, actor: str) -> None:
    """Close a migration whose rollback is verified, once."""
    finished = runtime.journal.events(migration_id, EventKind.MIGRATION_FINISHED)
    if runtime.journal.state(migration_id).status is Status.ROLLED_BACK and not finished:
        body = {"outcome": str(Status.ROLLED_BACK)}
        kind = EventKind.MIGRATION_FINISHED
        runtime.journal.append(kind, migration_id=migration_id, actor=actor, body=body)


class VerdictOperator(ActOperator):
    """The DAG run's colour: green only where the journal says that its steps are promoted."""

    def __init__(self, *, steps: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = tuple(steps)

    def act(self, runtime: Runtime, context: Any) -> str:
        """Raise AirflowFailException with what happened instead of a promotion."""
        state = runtime.journal.state(migration_of(context))
        missing = [name for name in self.steps if name not in state.promoted]
        if state.status is Status.HELD:
            raise AirflowFailException(f"held: {state.reason}")
        if state.status in {Status.ROLLING_BACK, Status.ROLLED_BACK}:
            raise AirflowFailException(f"{str(state.status).replace('_', ' ')}: {state.reason}")
        if missing:
            raise AirflowFailException(f"not promoted: {', '.join(missing)}")
        return "promoted"


class TakeBackOperator(ActOperator):
    """The rollback that a person asks for: the active migration, or the bare fleet."""

    def act(self, runtime: Runtime, context: Any) -> str:
        """Return the id of the migration that was taken back."""
        journal = runtime.journal
        migration_id = journal.active_migration() or journal.latest_migration() or NO_MIGRATION
        reason = str(context["params"].get("reason") or "asked for by a person")
        runtimes.revert(self.place, journal, migration_id, actor_of(context), reason)
        return migration_id
