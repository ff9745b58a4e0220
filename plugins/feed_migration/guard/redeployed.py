"""A guard lives for weeks: it follows deployment.yaml, which a person edits between migrations."""

import logging
from collections.abc import Callable
from pathlib import Path

from feed_migration.deployment import FILE_NAME, Deployment, load_deployment
from feed_migration.deployment_copy import keep, read_or_copy
from feed_migration.errors import DeploymentError
from feed_migration.guard.process import Guard
from feed_migration.guard.sight import Health, Sight

LOG = logging.getLogger(__name__)


def deployment_or_copy(home: Path) -> Deployment:
    """Return the deployment of `home`, or as it was when a guard last read it; DeploymentError."""
    try:
        deployment = load_deployment(home)
    except DeploymentError:
        return read_or_copy(home)
    keep(home)
    return deployment


class GuardAsDeployed:
    """The guard over `deployment`, begun anew when its file comes to say something else."""

    def __init__(self, deployment: Deployment, begin: Callable[[Deployment], Guard]) -> None:
        self._deployment, self._begin = deployment, begin
        self._path = deployment.home / FILE_NAME
        self._seen = _stamp(self._path)
        self._guard = begin(deployment)

    @property
    def health(self) -> Health:
        """How the guard is now."""
        return self._guard.health

    @property
    def sight(self) -> Sight:
        """What the guard sees now."""
        return self._guard.sight

    def poll(self) -> None:
        """Do one round, over the deployment as it is now; a broken file changes nothing."""
        if (seen := _stamp(self._path)) != self._seen:
            self._seen = seen
            self._follow()
        self._guard.poll()

    def _follow(self) -> None:
        try:
            deployment = load_deployment(self._deployment.home)
        except DeploymentError as error:
            LOG.warning("the guard keeps the deployment as it was: %s", error)
            return
        keep(deployment.home)
        if deployment != self._deployment:
            LOG.warning("%s has changed, the guard begins anew", self._path)
            self._guard.close()
            self._deployment, self._guard = deployment, self._begin(deployment)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
