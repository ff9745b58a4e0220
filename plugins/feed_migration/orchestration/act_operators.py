"""Forward acts as tasks: `cutover.advance` moves the fleet, and only the journal proves a step."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from feed_migration import phases
from feed_migration.errors import (
    EnvironmentUnavailable,
    GateNotPassed,
    MigrationError,
    MigrationNotRunning,
)
from feed_migration.events import Event, EventKind
from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.actor import actor_of
from feed_migration.orchestration.journal_patience import JournalPatience
from feed_migration.orchestration.passed import announce
from feed_migration.orchestration.place import Place
from feed_migration.orchestration.refusing import refusals_noted
from feed_migration.orchestration.runtime import Runtime, open_runtime
from feed_migration.orchestration.telling import telling
from feed_migration.phases import Status

BEGIN = "begin"


class ActOperator(BaseOperator):
    """Base of the acts: opens the deployment, finds the migration, fails for good on a refusal.

    A MigrationError that waiting cannot cure fails the task without a retry, so that the way back
    begins at once; an unavailable part is asked again.
    """

    def __init__(self, *, place: Place, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.place = place

    def execute(self, context: Any) -> Any:
        """Run `act`; raises AirflowFailException where a retry is senseless."""
        with telling(self.place), self.refusing(context):
            return self.act(open_runtime(self.place), context)

    @contextmanager
    def refusing(self, context: Any) -> Iterator[None]:
        """Note a refusal in the journal, and let it fail the task for good."""
        step = getattr(self, "step", "")
        try:
            with refusals_noted(self.place, context, begun_by=BEGIN, step=step):
                yield
        except EnvironmentUnavailable:
            raise
        except MigrationError as error:
            # its one line is all there is to say: from `error`, the log would say it twice
            raise AirflowFailException(str(error)) from None

    def act(self, runtime: Runtime, context: Any) -> Any:
        """Do what the task is for."""
        raise NotImplementedError


class ForwardOperator(ActOperator):
    """Base of the acts that a good fleet waits for: they outlast a journal that is away."""

    journal_patience = JournalPatience()

    def execute(self, context: Any) -> Any:
        """Run `act` until the journal has taken it, each time with what it says by then."""
        with telling(self.place), self.refusing(context):
            return self.journal_patience.outlast(
                context, lambda: self.act(open_runtime(self.place), context)
            )


def migration_of(context: Mapping[str, Any], task_id: str = BEGIN) -> str:
    """Return the migration that `begin` (or `task_id`) of this DAG run began or joined."""
    migration_id = context["ti"].xcom_pull(task_ids=task_id)
    if not migration_id:
        missing = MigrationNotRunning(
            f"no migration: `{task_id}` of this DAG run named none", "trigger a new DAG run"
        )
        raise AirflowFailException(str(missing)) from missing
    return str(migration_id)


def note_start(runtime: Runtime, migration_id: str, step: str, actor: str) -> None:
    """Write that work on `step` begins, once; its gate may already be at a later run.

    Raises before it writes where the step may not begin: the event alone would end a hold. Nobody
    holds between the two, however long this worker was stopped.
    """

    def choose(events: Sequence[Event]) -> list[tuple[EventKind, Mapping[str, Any]]]:
        state = phases.fold(events)
        runtimes.require_open(runtime, step, state)
        if state.step == step or step in state.promoted:
            return []
        return [(EventKind.STEP_STARTED, {"step": step, "run": dict(state.runs).get(step, "1")})]

    runtime.journal.append_chosen(migration_id, actor, choose, onward=True)


class AdvanceOperator(ForwardOperator):
    """Bring the step about: start the shadows, or move the fleet to the step's share on native.

    Refuses unless the journal has the proof of every earlier step, whatever colour Airflow shows.
    """

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def act(self, runtime: Runtime, context: Any) -> None:
        """Advance once; a rerun finds the instances right and restarts none."""
        migration_id, actor = migration_of(context), actor_of(context)
        state = runtime.journal.state(migration_id)
        if self.step in state.promoted:
            self.log.info("%s is promoted already", self.step)
        elif state.held_at == self.step:
            self.log.info("%s stands as it was held, its gate runs again", self.step)
        else:
            note_start(runtime, migration_id, self.step, actor)
            result = runtimes.advance(runtime, self.step, migration_id, actor)
            self.log.info("%s: %s", ", ".join(result.acts), ", ".join(result.instances))


class StopShadowOperator(ForwardOperator):
    """Stop the shadow instances once their phase is proven: intent → act → confirm."""

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def act(self, runtime: Runtime, context: Any) -> None:
        """Stop those that run; none running is as good. Refuses while their gate needs them."""
        migration_id = migration_of(context)
        state = runtime.journal.state(migration_id)
        if self.step not in state.promoted:
            raise GateNotPassed(
                f"{self.step} is not promoted, its gate needs the shadow instances",
                "run its gate, or take the migration back: that stops them, too",
            )
        if state.status is not Status.RUNNING:
            self.log.info("the migration is %s, nothing is stopped", state.status)
            return
        body = {"act": "stop_shadow", "step": self.step, "epoch": state.epoch, "instances": []}
        who = {"migration_id": migration_id, "actor": actor_of(context)}
        runtime.journal.append(EventKind.ACT_INTENDED, body=body, **who)
        runtimes.open_fleet_of(runtime, state).stop_shadow(state.epoch)
        runtime.journal.append(EventKind.ACT_CONFIRMED, body=body, **who)


class ReportOperator(ForwardOperator):
    """Close a promoted migration: write the evidence, list what has become redundant."""

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def act(self, runtime: Runtime, context: Any) -> str:
        """Return the path of the report."""
        migration_id, actor = migration_of(context), actor_of(context)
        if self.step not in runtime.journal.state(migration_id).promoted:
            note_start(runtime, migration_id, self.step, actor)
            runtimes.require_native(runtime)
            runtimes.promote(runtime, self.step, migration_id, actor)
            announce(context, runtime.journal.state(migration_id), self.step, actor)
        return runtimes.close_promoted(runtime, migration_id, actor)
