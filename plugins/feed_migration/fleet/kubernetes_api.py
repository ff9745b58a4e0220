"""The few requests a fleet makes of a Kubernetes API server, with timeouts, retries, typed errors.

What is refused for now (429, 5xx, a connection that breaks) is asked again with growing pauses,
`Retry-After` respected, until the patience is over. Every request may be repeated: a patch carries
the version it was made for, a deletion the pod it means. Credentials are read by the official
client, and never shown: an error has the server's own message, redacted, and no header.
"""

import time
from collections.abc import Callable
from typing import Protocol, cast

import msgspec
import urllib3
from kubernetes.client import (
    ApiClient,
    ApiException,
    AppsV1Api,
    Configuration,
    CoreV1Api,
    V1ControllerRevision,
    V1DeleteOptions,
    V1Pod,
    V1Preconditions,
    V1StatefulSet,
)
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from feed_migration.deployment import KubernetesSettings
from feed_migration.errors import FleetUnavailable
from feed_migration.redaction import redact

MANAGER = "backpack-migrate"
_CONNECT_SECONDS = 3.0
_FIRST_PAUSE_SECONDS = 0.05
_LAST_PAUSE_SECONDS = 2.0
_AGAIN = frozenset({429, 500, 502, 503, 504})
_GONE = frozenset({404, 409})
_LOG_BYTES = 65_536


class WriteConflict(Exception):  # noqa: N818 - reads as the fact it states
    """Somebody has written the object since it was read."""


class NoSuchObject(FleetUnavailable):
    """The API server answers, and does not have the object."""


class _Labelled(Protocol):
    match_labels: dict[str, str] | None


class KubernetesApi:
    """One namespace of one API server. Raises `FleetUnavailable`, from a patch `WriteConflict`."""

    def __init__(
        self,
        settings: KubernetesSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._sleep = sleep
        self._timeout = (min(_CONNECT_SECONDS, settings.request_seconds), settings.request_seconds)
        self._client: ApiClient | None = None

    def stateful_set(self, name: str, *, patience: float | None = None) -> V1StatefulSet:
        """Return the StatefulSet `name`."""
        apps = AppsV1Api(self._connected())
        return self._ask(
            f"StatefulSet {name}",
            lambda: apps.read_namespaced_stateful_set(
                name, self._settings.namespace, _request_timeout=self._timeout
            ),
            patience,
        )

    def patch_stateful_set(self, name: str, patch: dict[str, object]) -> V1StatefulSet:
        """Apply a strategic merge patch; `WriteConflict` where its resourceVersion is old."""
        apps = AppsV1Api(self._connected())
        return self._ask(
            f"StatefulSet {name}",
            lambda: apps.patch_namespaced_stateful_set(
                name,
                self._settings.namespace,
                patch,
                field_manager=MANAGER,
                _request_timeout=self._timeout,
            ),
        )

    def revision(self, name: str) -> V1ControllerRevision:
        """Return the ControllerRevision `name`: a template that pods were made from."""
        apps = AppsV1Api(self._connected())
        return self._ask(
            f"ControllerRevision {name}",
            lambda: apps.read_namespaced_controller_revision(
                name, self._settings.namespace, _request_timeout=self._timeout
            ),
        )

    def pods(
        self, selector: _Labelled | None = None, *, patience: float | None = None
    ) -> list[V1Pod]:
        """Return the pods that a StatefulSet's selector chooses; without one, all."""
        core = CoreV1Api(self._connected())
        chosen = (selector.match_labels if selector else None) or {}
        labels = ",".join(f"{key}={value}" for key, value in chosen.items())
        found = self._ask(
            f"pods {labels}",
            lambda: core.list_namespaced_pod(
                self._settings.namespace,
                label_selector=labels,
                timeout_seconds=max(1, int(self._settings.request_seconds)),
                _request_timeout=self._timeout,
            ),
            patience,
        )
        return list(found.items)

    def delete_pod(self, name: str, uid: str) -> None:
        """Delete the pod `name` if it is still `uid`; its StatefulSet makes the next one."""
        core = CoreV1Api(self._connected())
        options = V1DeleteOptions(preconditions=V1Preconditions(uid=uid))

        def delete() -> None:
            try:
                core.delete_namespaced_pod(
                    name, self._settings.namespace, body=options, _request_timeout=self._timeout
                )
            except ApiException as error:
                # somebody else has deleted it, or an earlier attempt whose answer was lost
                if error.status not in _GONE:
                    raise

        self._ask(f"pod {name}", delete)

    def log(self, name: str, lines: int) -> str:
        """Return the last lines of a pod's log as they are; asked once only."""
        core = CoreV1Api(self._connected())
        return self._ask(
            f"log of pod {name}",
            lambda: core.read_namespaced_pod_log(
                name,
                self._settings.namespace,
                container=self._settings.container,
                tail_lines=lines,
                limit_bytes=_LOG_BYTES,
                _request_timeout=self._timeout,
            ),
            0.0,
        )

    def _connected(self) -> ApiClient:
        if self._client is None:
            self._client = ApiClient(_configuration(self._settings))
        return self._client

    def _ask[Answer](
        self, what: str, request: Callable[[], Answer], patience: float | None = None
    ) -> Answer:
        allowed = self._settings.patience_seconds if patience is None else patience
        deadline, pause = self._monotonic() + allowed, _FIRST_PAUSE_SECONDS
        while True:
            try:
                return request()
            except ApiException as error:
                if error.status == 409:  # noqa: PLR2004 - HTTP's number for a conflict
                    raise WriteConflict(what) from None
                failure, wait = _refused(what, error), _retry_after(error)
                retry = error.status in _AGAIN
            except (urllib3.exceptions.HTTPError, OSError) as error:
                failure, wait, retry = _silent(what, error), 0.0, True
            except ValueError as error:
                raise _not_kubernetes(what, error) from None
            wait = max(wait, pause)
            if not retry or self._monotonic() + wait > deadline:
                raise failure from None
            self._sleep(wait)
            pause = min(2 * pause, _LAST_PAUSE_SECONDS)


def _configuration(settings: KubernetesSettings) -> Configuration:
    configuration = Configuration()
    try:
        if settings.kubeconfig is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            load_kube_config(  # type: ignore[no-untyped-call]
                str(settings.kubeconfig),
                context=settings.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError) as error:
        where = settings.kubeconfig or "service account"
        raise FleetUnavailable(
            f"no access to Kubernetes: {where}: {redact(str(error))}",
            "run in a pod with the service account of deploy/kubernetes, or set "
            "fleet.kubernetes.kubeconfig",
        ) from None
    # False and not 0: a redirect would take the token elsewhere; retries are ours
    configuration.retries = False
    return configuration


def _refused(what: str, error: ApiException) -> FleetUnavailable:
    problem = f"{what}: the API server answers {error.status} {_message(error)}"
    remedy = {
        401: "renew the credentials of fleet.kubernetes",
        403: "bind the Role of deploy/kubernetes to this account",
        404: "apply deploy/kubernetes, or correct fleet.kubernetes in deployment.yaml",
        422: "apply deploy/kubernetes again: the object does not take the change",
    }.get(cast("int", error.status), "repeat it when the API server is well")
    missing = error.status == 404  # noqa: PLR2004 - HTTP's number for what is not there
    return (NoSuchObject if missing else FleetUnavailable)(problem, remedy)


def _message(error: ApiException) -> str:
    """Return the message of the Status in the body, else the reason."""
    try:
        text = msgspec.json.decode(error.body or "")["message"]
    except (msgspec.DecodeError, KeyError, TypeError):
        text = error.reason
    return redact(" ".join(str(text).split()))


def _retry_after(error: ApiException) -> float:
    value = (error.headers or {}).get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def _silent(what: str, error: Exception) -> FleetUnavailable:
    return FleetUnavailable(
        f"{what}: the API server does not answer ({type(error).__name__})",
        "what was written before holds; repeat it when the API server is back",
    )


def _not_kubernetes(what: str, error: ValueError) -> FleetUnavailable:
    return FleetUnavailable(
        f"{what}: the answer is no such object ({type(error).__name__})",
        "check the server in the kubeconfig",
    )
