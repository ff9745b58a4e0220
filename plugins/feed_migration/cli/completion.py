"""Values that a shell completes: migrations, approvals that wait, plan files.

Whatever does not answer within two seconds completes nothing; a shell shows no errors here.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from feed_migration.airflow_api import AirflowApi
from feed_migration.cli.questions import pending_approvals
from feed_migration.deployment import home_directory, load_deployment
from feed_migration.errors import MigrationError
from feed_migration.journal.store import Journal

PATIENCE_SECONDS = 2.0
SHOWN = 20
PLANS = Path("plans")


def complete_migrations(incomplete: str) -> list[str]:
    """Return the ids of the newest migrations."""
    found: list[str] = []
    with _quietly():
        found = _journal().migrations(SHOWN)
    return [name for name in found if name.startswith(incomplete)]


def complete_migration_to_take_back(incomplete: str) -> list[str]:
    """Return the id that a rollback takes back: of the active migration, or else the latest."""
    found: str | None = None
    with _quietly():
        journal = _journal()
        found = journal.active_migration() or journal.latest_migration()
    return [found] if found is not None and found.startswith(incomplete) else []


def complete_approvals(incomplete: str) -> list[tuple[str, str]]:
    """Return the task ids of the approvals that wait, each with what it asks."""
    found: list[tuple[str, str]] = []
    with _quietly():
        deployment = load_deployment(home_directory())
        with AirflowApi(deployment.airflow, timeout_seconds=PATIENCE_SECONDS) as airflow:
            found = [
                (str(task["task_id"]), str(task["subject"]))
                for task in pending_approvals(airflow, deployment)
            ]
    return [entry for entry in found if entry[0].startswith(incomplete)]


def complete_plans(incomplete: str) -> list[str]:
    """Return the YAML files of the folder that is typed, and of `plans/` where none is.

    Nothing found leaves it to the shell, which completes files of any name.
    """
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    found: list[Path] = []
    with suppress(OSError):
        folders = [folder, PLANS] if "/" not in incomplete else [folder]
        found = [path for one in folders for path in sorted(one.glob("*.y*ml"))]
    return [str(path) for path in found if str(path).startswith(incomplete.removeprefix("./"))]


def _journal() -> Journal:
    deployment = load_deployment(home_directory())
    return Journal(deployment.journal_url, home=deployment.home, lock_wait_seconds=PATIENCE_SECONDS)


@contextmanager
def _quietly() -> Iterator[None]:
    with suppress(MigrationError, OSError, LookupError, TypeError, ValueError):
        yield
