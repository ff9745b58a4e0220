"""The plan that a migration began with: the file while it is that one, else a copy of it.

The guard keeps one for itself, and Airflow's tasks keep one.
"""

import logging
from pathlib import Path

from feed_migration.document.reader import PlanError
from feed_migration.durable import write_text
from feed_migration.model import Plan
from feed_migration.plan.reader import load_plan

LOG = logging.getLogger(__name__)


class PlanCopy:
    """Finds a plan by its hash. An edited or lost file is told of once, and the copy is used."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._copy = folder / "plan.yaml"
        self._plan: Plan | None = None
        self._missed = ""

    def of(self, sha256: str) -> Plan | None:
        """Return the plan of that hash, None where neither file has it."""
        if self._plan is not None and self._plan.sha256 == sha256:
            return self._plan
        # the copy first: what is there need not be written anew
        for path in (self._copy, self._path):
            plan = _load(path)
            if plan is not None and plan.sha256 == sha256:
                self._plan = plan
                if path != self._copy:
                    self._keep()
                return plan
        if self._missed != sha256:
            self._missed = sha256
            LOG.error(
                "no plan of hash %s at %s: its gates cannot be watched, only its lease",
                sha256[:12],
                self._path,
            )
        return None

    def _keep(self) -> None:
        try:
            write_text(self._copy, self._path.read_text(encoding="utf-8"))
        except OSError as error:
            LOG.warning("%s cannot be written: %s", self._copy, error.strerror)


def _load(path: Path) -> Plan | None:
    try:
        return load_plan(path)
    except PlanError:
        return None
