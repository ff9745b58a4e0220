"""deployment.yaml as a guard last read it: for the day that the file is broken or lost."""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from feed_migration.deployment import FILE_NAME, Deployment, load_deployment
from feed_migration.errors import DeploymentError

LOG = logging.getLogger(__name__)


def read_or_copy(home: Path, environ: Mapping[str, str] = os.environ) -> Deployment:
    """Return the deployment of `home`, or as a guard last read it; raises DeploymentError."""
    try:
        return load_deployment(home, environ)
    except DeploymentError as error:
        copy = _copy_of(home)
        if not copy.is_file():
            raise
        LOG.error("going by the guard's copy of the deployment: %s", error)  # noqa: TRY400
        return load_deployment(home, environ, path=copy)


def keep(home: Path) -> None:
    """Copy the file of `home`, which has been read; a failure is told of."""
    copy = _copy_of(home)
    temporary = copy.with_name(f".{copy.name}.tmp")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        # with its mode: a journal_url may hold a password
        shutil.copy(home / FILE_NAME, temporary)
        temporary.replace(copy)
    except OSError as error:
        LOG.warning("%s cannot be written: %s", copy, error.strerror)


def _copy_of(home: Path) -> Path:
    return home / "guard" / FILE_NAME
