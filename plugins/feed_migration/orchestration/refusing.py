"""A task that is refused says so in the journal before it fails."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from feed_migration.errors import MigrationError
from feed_migration.journal.refusals import note_refusal, refusal_in
from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.actor import actor_of
from feed_migration.orchestration.place import Place

LOG = logging.getLogger(__name__)


@contextmanager
def refusals_noted(
    place: Place,
    context: Mapping[str, Any],
    *,
    begun_by: str,
    step: str = "",
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
) -> Iterator[None]:
    """Note a refusal that is raised inside; a note that fails is logged, and hides nothing.

    `begun_by` is the task whose result is the migration's id.
    """
    try:
        yield
    except Exception as error:
        refusal = refusal_in(error)
        if refusal is not None:
            try:
                _note(place, context, refusal, begun_by=begun_by, step=step, at=clock())
            except Exception:
                LOG.exception("the refusal is not in the journal")
        raise


def _note(
    place: Place,
    context: Mapping[str, Any],
    refusal: MigrationError,
    *,
    begun_by: str,
    step: str,
    at: float,
) -> None:
    where = {"step": step, **_attempt(context)}
    note_refusal(
        runtimes.journal_for_rollback(place),
        runtimes.open_spool(place),
        refusal,
        at=at,
        actor=actor_of(context),
        migration_id=_migration(context, begun_by),
        where={name: value for name, value in where.items() if value not in {"", None}},
    )


def _migration(context: Mapping[str, Any], begun_by: str) -> str | None:
    try:
        return context["ti"].xcom_pull(task_ids=begun_by) or None
    except Exception:  # noqa: BLE001 - Airflow may not answer; whose refusal it is can be left open
        return None


def _attempt(context: Mapping[str, Any]) -> dict[str, object]:
    dag_run, task = context.get("dag_run"), context.get("ti")
    return {
        "dag_id": getattr(dag_run, "dag_id", None),
        "run_id": getattr(dag_run, "run_id", None),
        "task_id": getattr(task, "task_id", None),
        "try_number": getattr(task, "try_number", None),
    }
