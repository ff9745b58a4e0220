"""The way back as teardown tasks: they run whatever happened before, and ask only the journal."""

import logging
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from feed_migration.driving import WAY_BACK
from feed_migration.errors import GateNotPassed, JournalUnavailable, NotConfirmed
from feed_migration.events import EventKind
from feed_migration.holding import hold_between, stays_at
from feed_migration.journal.refusals import NO_MIGRATION
from feed_migration.journal.spool import UNRESOLVED
from feed_migration.lease import PERSON_SECONDS, end_holder
from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.act_operators import BEGIN, ActOperator, migration_of
from feed_migration.orchestration.actor import actor_of
from feed_migration.orchestration.attempts import as_left
from feed_migration.orchestration.causes import cause, responsible
from feed_migration.orchestration.journal_patience import only_the_journal_failed
from feed_migration.orchestration.refusing import refusals_noted
from feed_migration.orchestration.runtime import Runtime
from feed_migration.orchestration.telling import HeldFailure, telling
from feed_migration.phases import MigrationState, Status

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

LOG = logging.getLogger(__name__)
FAILED_STATES = frozenset({"failed", "upstream_failed", "skipped"})


class Ending(StrEnum):
    """What becomes of the fleet when the DAG run's own steps are over."""

    KEEP = "keep"
    HOLD = "hold"
    REVERT = "revert"


def steps_of(state: MigrationState, steps: Sequence[str]) -> tuple[str, ...]:
    """Return `steps`; where the DAG run cannot name its own, every step of the migration."""
    return tuple(steps) or tuple(str(facts.get("name")) for facts in state.steps)


def ending(state: MigrationState, steps: Sequence[str]) -> Ending:
    """Return what the journal says must become of the exposure.

    A report that could not be written is no reason to move a proven fleet, so only the steps that
    a gate or a check proves count; for a run of the report alone those of the whole migration. The
    plan is not asked: it may be broken by now.
    """
    if state.status is Status.HELD:
        return Ending.HOLD
    if state.status in {Status.ROLLING_BACK, Status.ROLLED_BACK}:
        return Ending.REVERT
    needed = _proving(state, steps_of(state, steps)) or _proving(state, steps_of(state, ()))
    return Ending.KEEP if needed and needed <= set(state.promoted) else Ending.REVERT


def _proving(state: MigrationState, steps: Sequence[str]) -> set[str]:
    return {name for name in steps if state.step_facts(name).get("phase") != "post_migration"}


class WayBackOperator(ActOperator):
    """Base of the way back: nothing that goes wrong is a reason not to try again."""

    def execute(self, context: Any) -> Any:
        """Run `take_back` with the journal, or None where that does not answer in seconds."""
        with telling(self.place), refusals_noted(self.place, context, begun_by=BEGIN):
            return self.take_back(runtimes.journal_for_rollback(self.place), context)

    def take_back(self, journal: "Journal | None", context: Any) -> str:
        """Do what the task is for."""
        raise NotImplementedError


class RevertOperator(WayBackOperator):
    """Put every instance on ccxt and verify that its data flows, unless the steps are proven.

    A hold leaves the fleet alone and fails for good: who clears the failed tasks of the run to
    watch the step again then clears the way back with them. That holds for an instance that comes
    after the next attempt has begun, too (`attempts`). Where the steps are proven it is skipped, so
    that nothing green is called a way back. `steps` may be empty, see `steps_of`.

    Where all that failed was the journal (`journal_patience`) nothing is bad, and the run ends in a
    hold. One that cannot be written is tried again, and in the end left to the guard, which reads
    what can be read here: lease and breaches. Where nothing can be read, nobody knows here whether
    a guard lives, and by the last try the lease of a hand-over is over: the fleet goes back.
    """

    def __init__(self, *, steps: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = tuple(steps)

    def take_back(self, journal: "Journal | None", context: Any) -> str:
        """Return the ending that was carried out."""
        migration_id, actor = migration_of(context), actor_of(context)
        state = self._left(journal, migration_id, context)
        decision = ending(state, self.steps) if state else Ending.REVERT
        if state and decision is Ending.HOLD:
            raise held(state)
        if decision is Ending.REVERT:
            reason = "the journal does not answer"
            if state:
                actor = responsible(state, actor)
                reason = cause(state, self.steps, failed_tasks(context))
            runtimes.revert(self.place, journal if state else None, migration_id, actor, reason)
        if journal and state and decision is Ending.KEEP and state.status is Status.RUNNING:
            # what this run has proven waits for the person who starts the next phase
            holder = end_holder(context["dag_run"].dag_id)
            journal.renew_lease(migration_id, holder=holder, seconds=PERSON_SECONDS)
        if decision is Ending.KEEP:
            raise AirflowSkipException("nothing to take back: the steps of this run are proven")
        return str(decision)

    def _left(
        self, journal: "Journal | None", migration_id: str, context: Any
    ) -> MigrationState | None:
        """Return how the run has left the migration, held where only the journal was at fault."""
        excused = only_the_journal_failed(context, _task_states(context) or {})
        state = runtimes.state_if_any(journal, migration_id)
        if journal is None or state is None:
            if (excused or not _anything_failed(context)) and not _last_try(context):
                # nothing to hurry from: an outage must not cost a proven fleet its place
                raise JournalUnavailable(
                    "the journal does not say how the migration stands",
                    "restore it; after the last try of this task the fleet goes back",
                )
            return None
        state = as_left(journal, state, context)
        if excused and ending(state, self.steps) is Ending.REVERT and stays_at(state):
            reason = f"the journal was away for too long: {', '.join(failed_tasks(context))}"
            hold_between(journal, migration_id, actor=actor_of(context), reason=reason)
            # a No or a way back that came before it stands
            return journal.state(migration_id)
        return state


def held(state: MigrationState) -> HeldFailure:
    """Return the failure that stands for a hold."""
    return HeldFailure(f"held, the exposure stays as it is: {state.reason}")


def _last_try(context: Any) -> bool:
    return bool(context["ti"].try_number > context["ti"].max_tries)


def _anything_failed(context: Any) -> bool:
    """Whether Airflow knows of a task of this run that did not succeed; no answer is a yes."""
    states = _task_states(context)
    # a way back that had nothing to do is skipped, and may be cleared alone
    return states is None or any(
        state in FAILED_STATES and not (state == "skipped" and task.startswith("rollback."))
        for task, state in states.items()
    )


def failed_tasks(context: Any) -> tuple[str, ...]:
    """Return the tasks of this run of which Airflow says that they failed, as far as it says so."""
    states = _task_states(context) or {}
    return tuple(sorted(task for task, state in states.items() if state == "failed"))


def _task_states(context: Any) -> Mapping[str, str] | None:
    """Return task → state of this run, None where Airflow does not say."""
    dag_run = context["dag_run"]
    try:
        states = context["ti"].get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])
        return {str(task): str(state) for task, state in states[dag_run.run_id].items()}
    except Exception:
        LOG.exception("Airflow does not say how the run stands")
        return None


class DocumentOperator(ActOperator):
    """Append the failure indicators to the incident page, if there was a rollback."""

    def __init__(self, *, migration_from: str = BEGIN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.migration_from = migration_from

    def act(self, runtime: Runtime, context: Any) -> str:
        """Return the path of the page; fails on a hold as the revert does, and skips like it."""
        migration_id = migration_of(context, self.migration_from)
        if migration_id == UNRESOLVED:
            # as the journal read it when it absorbed what was spooled
            migration_id = runtime.journal.latest_migration() or UNRESOLVED
        state = as_left(runtime.journal, runtime.journal.state(migration_id), context)
        if state.status is Status.HELD:
            raise held(state)
        if state.status not in {Status.ROLLING_BACK, Status.ROLLED_BACK}:
            raise AirflowSkipException("no incident: nothing was taken back")
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
        journal = runtime.journal
        state = as_left(journal, journal.state(migration_of(context)), context)
        names = steps_of(state, self.steps)
        missing = [name for name in names if name not in state.promoted]
        if state.status is Status.HELD:
            raise AirflowFailException(f"held: {state.reason}")
        if state.status in {Status.ROLLING_BACK, Status.ROLLED_BACK}:
            text = f"{str(state.status).replace('_', ' ')}: {state.reason}"
        elif missing or not names:
            text = f"not promoted: {', '.join(missing) or 'nothing begun'}"
        elif state.status is Status.RUNNING and _closes(state, names):
            text = "promoted, but the migration was never finished: run backpack_post_migration"
        else:
            return "promoted"
        _require_back(runtime, state, text)
        raise AirflowFailException(text)


def _closes(state: MigrationState, steps: Sequence[str]) -> bool:
    """Whether the last of `steps` is the one that finishes a migration."""
    return any(state.step_facts(name).get("phase") == "post_migration" for name in steps)


def _require_back(runtime: Runtime, state: MigrationState, text: str) -> None:
    """Raise GateNotPassed where the fleet is exposed and nothing has taken it back."""
    natives = runtimes.natives(runtime, state)
    # after a verified rollback whatever is on native is another migration's
    if natives and state.status in {Status.RUNNING, Status.ROLLING_BACK}:
        raise GateNotPassed(
            f"{text}; still on native: {', '.join(natives)}",
            "run backpack_rollback, or a phase that has what is missing",
        )


class TakeBackOperator(WayBackOperator):
    """The rollback that a person asks for: the active migration, or the bare fleet."""

    def take_back(self, journal: "Journal | None", context: Any) -> str:
        """Return the id of the migration that was taken back, UNRESOLVED where nobody knows it."""
        require_confirmed(context)
        migration_id = None
        try:
            if journal is not None:
                migration_id = (
                    journal.active_migration() or journal.latest_migration() or NO_MIGRATION
                )
        except Exception:
            self.log.exception("the journal does not say which migration is active")
            journal = None
        migration_id = migration_id or runtimes.known_migration(self.place) or UNRESOLVED
        note_run(journal, migration_id, context)
        reason = str(context["params"].get("reason") or "asked for by a person")
        runtimes.revert(self.place, journal, migration_id, actor_of(context), reason)
        return migration_id


def note_run(journal: "Journal | None", migration_id: str, context: Any) -> None:
    """Say which DAG run takes the migration back; nothing waits for a note that fails."""
    if journal is None or migration_id in {UNRESOLVED, NO_MIGRATION}:
        return
    dag_run = context["dag_run"]
    body = {
        "note": WAY_BACK,
        "id": f"{WAY_BACK}/{dag_run.run_id}",
        "dag_id": dag_run.dag_id,
        "run_id": dag_run.run_id,
    }
    try:
        journal.note(migration_id, actor_of(context), body, once="id")
    except Exception:
        LOG.exception("which run takes the fleet back is not in the journal")


def require_confirmed(context: Any) -> None:
    """Fail for good where the form was sent without its tick.

    A form sends every field; who triggers by API or command line means it, and may leave it out.
    """
    conf = getattr(context["dag_run"], "conf", None) or {}
    if conf.get("confirm") is False:
        unticked = NotConfirmed(
            "nothing was done: the box that puts every instance back on ccxt was not ticked",
            "trigger backpack_rollback again",
        )
        raise AirflowFailException(str(unticked)) from unticked
