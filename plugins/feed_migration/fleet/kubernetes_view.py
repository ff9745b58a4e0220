"""What is seen of instances: the handlers' own answers, and what Kubernetes says of the pods."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as futures_wait
from dataclasses import replace

from kubernetes.client import V1Pod

from feed_migration.deployment import Instance
from feed_migration.errors import FleetUnavailable, NotReady
from feed_migration.fleet.base import InstanceStatus, Variant
from feed_migration.fleet.kubernetes_api import KubernetesApi, WriteConflict
from feed_migration.fleet.kubernetes_pods import describe, is_ready, made_as
from feed_migration.fleet.kubernetes_roll import POLL_SECONDS, Roller
from feed_migration.fleet.snapshot import read_statuses
from feed_migration.redaction import redact

_LOG_THREADS = 8
# A rollback reads the logs before it restarts: the log of a lost node must not keep it waiting
_LOG_SECONDS = 3.0


class View:
    """Reads, waits and explains; changes nothing."""

    def __init__(
        self,
        api: KubernetesApi,
        container: str,
        rollers: Sequence[Roller],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._container = container
        self._rollers = rollers
        self._monotonic = monotonic
        self._sleep = sleep

    def statuses(self, instances: Sequence[Instance]) -> tuple[InstanceStatus, ...]:
        """Return what the handlers say, with the pod's state where one is not ready.

        Never raises.
        """
        statuses = read_statuses(instances)
        if all(status.ready for status in statuses):
            return statuses
        pods = self._pods()
        return tuple(
            status if status.ready else replace(status, reasons=self._reasons(status, None, pods))
            for status in statuses
        )

    def wait_ready(
        self,
        waiting: Sequence[Instance],
        variant: Variant | None,
        deadline_seconds: float,
        *,
        epoch: int | None = None,
    ) -> None:
        """Return once all of `waiting` run `variant` and are ready, else raise `NotReady`.

        Raises `StaleEpoch` as soon as the StatefulSet carries an epoch above `epoch`.
        """
        deadline = self._monotonic() + deadline_seconds
        while True:
            pods = self._pods(epoch)
            statuses = read_statuses(waiting)
            late = {s.id for s in statuses if not self._is_right(s, variant, pods)}
            waiting = [instance for instance in waiting if instance.id in late]
            if not waiting:
                return
            if self._monotonic() >= deadline:
                raise self._not_ready(waiting, variant, deadline_seconds)
            self._sleep(POLL_SECONDS)

    def log_tails(self, ids: Sequence[str], lines: int) -> dict[str, tuple[str, ...]]:
        """Return the last `lines` log lines of each of `ids`, redacted; never raises, never waits.

        What has not come after `_LOG_SECONDS` is left out, and says so.
        """
        if not ids:
            return {}
        pool = ThreadPoolExecutor(max_workers=min(_LOG_THREADS, len(ids)))
        asked = {name: pool.submit(self._tail, name, lines) for name in ids}
        done = futures_wait(asked.values(), timeout=_LOG_SECONDS).done
        pool.shutdown(wait=False, cancel_futures=True)
        late = (f"(no log within {_LOG_SECONDS:g} s)",)
        return {name: tail.result() if tail in done else late for name, tail in asked.items()}

    def _is_right(
        self, status: InstanceStatus, variant: Variant | None, pods: Mapping[str, V1Pod] | None
    ) -> bool:
        if not status.ready or variant not in {None, status.variant}:
            return False
        if pods is None:
            return True
        pod = pods.get(status.id)
        if pod is None or not is_ready(pod):
            return False
        return variant in {None, made_as(pod, self._container)}

    def _pods(self, epoch: int | None = None) -> dict[str, V1Pod] | None:
        """Return all pods, None where the API server does not answer at once."""
        try:
            found = [roller.pods(patience=0.0, epoch=epoch) for roller in self._rollers]
        except (FleetUnavailable, WriteConflict):
            return None
        return {name: pod for pods in found for name, pod in pods.items()}

    def _reasons(
        self,
        status: InstanceStatus,
        variant: Variant | None,
        pods: Mapping[str, V1Pod] | None,
    ) -> tuple[str, ...]:
        wrong = variant is not None and status.variant not in {variant, "unknown"}
        first = (f"runs {status.variant} instead of {variant}",) if wrong else ()
        if pods is None:
            return (*first, *status.reasons, "the API server does not answer")
        words = describe(pods.get(status.id), status.id, self._container)
        return (*first, *status.reasons, words)

    def _not_ready(
        self, waiting: Sequence[Instance], variant: Variant | None, deadline_seconds: float
    ) -> NotReady:
        names, pods = tuple(instance.id for instance in waiting), self._pods()
        tails = self.log_tails(names, 1)
        reasons = {
            status.id: (
                *self._reasons(status, variant, pods),
                *(f"last line: {line}" for line in tails[status.id]),
            )
            for status in read_statuses(waiting)
        }
        return NotReady(names, reasons, deadline_seconds)

    def _tail(self, name: str, lines: int) -> tuple[str, ...]:
        try:
            text = self._api.log(name, lines)
        except (FleetUnavailable, WriteConflict) as error:
            return (f"(no log: {error})",)
        return tuple(redact(line) for line in text.splitlines()[-lines:])
