"""Base URLs of a deployment's parts, as programs reach them and as people's browsers do.

```yaml
public: {airflow_url: "https://airflow.example.com", prometheus_url: "https://prom.example.com"}
```

In a container or a cluster the two differ: a task asks `http://prometheus:9090`, which no browser
resolves. Every link that a person gets is made of the public ones.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from feed_migration.errors import DeploymentError

Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@]+$")]

AIRFLOW_PUBLIC_URL = "AIRFLOW_PUBLIC_URL"
PROMETHEUS_PUBLIC_URL = "PROMETHEUS_PUBLIC_URL"
GRAFANA_URL = "GRAFANA_URL"
_OF_LINKS = (AIRFLOW_PUBLIC_URL, PROMETHEUS_PUBLIC_URL, GRAFANA_URL)


@dataclass(frozen=True, kw_only=True)
class PublicUrls:
    """Where people reach Airflow and Prometheus; `grafana` None where there is no dashboard."""

    airflow: str
    prometheus: str
    grafana: str | None = None


class PublicSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of `public` in deployment.yaml; what is left out is reached as programs reach it."""

    airflow_url: Url | None = None
    prometheus_url: Url | None = None


def url_in(environ: Mapping[str, str], name: str) -> str:
    """Return the URL in the variable `name`, "" where it is not set; raises DeploymentError."""
    value = environ.get(name)
    if value and not _is_url(value):
        # not with the value: it may hold a password
        raise DeploymentError(
            f"environment variable {name}: not a http(s) URL without user and password",
            f"correct {name}, or unset it to use deployment.yaml",
        )
    return value or ""


def public_urls(
    spec: PublicSpec,
    environ: Mapping[str, str],
    *,
    airflow: str,
    prometheus: str,
    grafana: str | None,
) -> PublicUrls:
    """Return the public addresses: the variable, else the file, else the internal one."""
    return PublicUrls(
        airflow=url_in(environ, AIRFLOW_PUBLIC_URL) or spec.airflow_url or airflow,
        prometheus=url_in(environ, PROMETHEUS_PUBLIC_URL) or spec.prometheus_url or prometheus,
        grafana=url_in(environ, GRAFANA_URL) or grafana,
    )


def of_links(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that say where links lead and nothing else, those that are URLs.

    For what no mistake in the environment may stop: the way back, and telling of it.
    """
    values = {name: environ.get(name, "") for name in _OF_LINKS}
    return {name: value for name, value in values.items() if _is_url(value)}


def _is_url(value: str) -> bool:
    try:
        msgspec.convert(value, Url)
    except msgspec.ValidationError:
        return False
    return True
