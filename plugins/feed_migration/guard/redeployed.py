"""A guard lives for weeks: it follows deployment.yaml, which a person edits between migrations."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from feed_migration.deployment import FILE_NAME, Deployment, load_deployment
from feed_migration.errors import DeploymentError
from feed_migration.guard.process import Guard
from feed_migration.guard.sight import Health, Sight

LOG = logging.getLogger(__name__)


def deployment_or_copy(home: Path) -> Deployment:
    """Return the deployment of `home`, or as it was when a guard last read it; DeploymentError."""
    try:
        deployment = load_deployment(home)
    except DeploymentError as error:
        copy = _copy_of(home)
        if not copy.is_file():
            raise
        LOG.error("the guard goes by its copy of the deployment: %s", error)  # noqa: TRY400
        return load_deployment(home, path=copy)
    _keep(home)
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
        _keep(deployment.home)
        if deployment != self._deployment:
            LOG.warning("%s has changed, the guard begins anew", self._path)
            self._guard.close()
            self._deployment, self._guard = deployment, self._begin(deployment)


def _copy_of(home: Path) -> Path:
    return home / "guard" / FILE_NAME


def _keep(home: Path) -> None:
    copy = _copy_of(home)
    temporary = copy.with_name(f".{copy.name}.tmp")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        # with its mode: a journal_url may hold a password
        shutil.copy(home / FILE_NAME, temporary)
        temporary.replace(copy)
    except OSError as error:
        LOG.warning("%s cannot be written: %s", copy, error.strerror)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
