"""Addresses in .env that lead out of the composed deployment: looked at before anything starts."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from feed_migration.base_urls import AIRFLOW_PUBLIC_URL, PROMETHEUS_PUBLIC_URL, url_in
from tools.compose.places import ComposeError


def require_public(environ: Mapping[str, str]) -> None:
    """Raise ComposeError, or DeploymentError, where a public address cannot be one."""
    url_in(environ, PROMETHEUS_PUBLIC_URL)
    # Airflow mounts the API that tasks report to behind that path, and they would not find it
    path = urlsplit(url_in(environ, AIRFLOW_PUBLIC_URL)).path
    if path.strip("/"):
        raise ComposeError(
            f"{AIRFLOW_PUBLIC_URL} has the path {path}: give Airflow a host name of its own"
        )
