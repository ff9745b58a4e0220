"""A start that somebody asked for at a shell, and what has become of it so far.

Airflow's run begins a migration some time after it was triggered, or is refused by its preflight.
Until then the newest migration in the journal is the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from feed_migration.dag_run import OVER, Driver
from feed_migration.errors import Refused
from feed_migration.events import Event
from feed_migration.journal.refusals import REFUSED

SHELL = "shell"
START = "start"
# From a start to its first event: a few tasks of an Airflow that is busy
PATIENCE_SECONDS = 300.0
# What the journal may be behind Airflow in what was read of each
BEHIND_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class AskedStart:
    """The DAG run of a start that no migration has come of; `refused` is why, "" where unsaid."""

    run: Driver
    refused: str = ""


def asked_start(notes: Sequence[Event]) -> AskedStart | None:
    """Return the newest start in the audit notes since the last migration ended."""
    run = next((found for note in reversed(notes) if (found := _run_of(note))), None)
    if run is None:
        return None
    whys = [str(n.body.get("text", "")) for n in notes if _is_refused(n, run)]
    return AskedStart(run=run, refused=whys[-1] if whys else "")


def require_hope(
    start: AskedStart, *, waited_seconds: float, run_state: str = "", over_seconds: float = 0.0
) -> None:
    """Raise Refused where no migration will come of a start that is waited for.

    `run_state` is what Airflow says of its run, "" where it says nothing, and `over_seconds` for
    how long it has said that the run is over.
    """
    run = f"{start.run.dag_id} {start.run.run_id}"
    if start.refused:
        raise Refused(f"the last start, {run}, was refused: {start.refused}")
    if run_state in OVER and over_seconds >= BEHIND_SECONDS:
        raise Refused(
            f"the last start, {run}, began no migration: Airflow says {run_state}",
            "see the log of its task begin",
        )
    if waited_seconds >= PATIENCE_SECONDS:
        raise Refused(
            f"the last start, {run}, has begun no migration for {waited_seconds:.0f} s",
            "see in Airflow what it waits for",
        )


def _run_of(note: Event) -> Driver | None:
    body = note.body
    if (body.get("note"), body.get("command")) != (SHELL, START):
        return None
    return Driver(dag_id=str(body.get("dag_id", "")), run_id=str(body.get("run_id", "")))


def _is_refused(note: Event, run: Driver) -> bool:
    body = note.body
    told = Driver(dag_id=str(body.get("dag_id", "")), run_id=str(body.get("run_id", "")))
    return body.get("note") == REFUSED and told == run
