"""Pods follow their StatefulSet: wait for its controller, delete what is made otherwise.

The controller alone would replace one pod after the other, each only when the one before is ready,
and would wait for ever behind one that never is. A deletion is fenced by what it can do: the pod
comes back as the spec says, and only the very pod that was seen wrong is deleted.
"""

import time
from collections.abc import Callable, Sequence

from kubernetes.client import V1Pod, V1StatefulSet

from feed_migration.errors import FleetUnavailable, InstanceStuck
from feed_migration.fleet.base import Variant
from feed_migration.fleet.kubernetes_api import KubernetesApi
from feed_migration.fleet.kubernetes_fence import KubernetesFence, require_newest
from feed_migration.fleet.kubernetes_pods import describe, is_ending, made_as, pod_name, pod_uid

POLL_SECONDS = 0.2
CONTROLLER_SECONDS = 10.0
# between the end of a pod's grace period and its next life in the API
_REPLACE_SECONDS = 20.0
_DEFAULT_GRACE_SECONDS = 30


class Roller:
    """Brings the pods of one StatefulSet to what it says."""

    def __init__(
        self,
        api: KubernetesApi,
        fence: KubernetesFence,
        name: str,
        container: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._fence = fence
        self._name = name
        self._container = container
        self._monotonic = monotonic
        self._sleep = sleep

    def pods(self, *, patience: float | None = None, epoch: int | None = None) -> dict[str, V1Pod]:
        """Return the pods by name; raises `StaleEpoch` where their set is above `epoch`."""
        found = self._api.stateful_set(self._name, patience=patience)
        if epoch is not None:
            require_newest(found, epoch, repair=True)
        if found.spec is None:
            return {}
        pods = self._api.pods(found.spec.selector, patience=patience)
        return {pod_name(pod): pod for pod in pods}

    def replace(self, names: Sequence[str], variant: Variant, epoch: int, generation: int) -> None:
        """Return once every pod of `names` is made as `variant`; they need not be ready.

        `generation` is that of the write that says so. Raises `InstanceStuck` naming the pods that
        do not end or do not come, after all others, and `StaleEpoch` for an overtaken actor.
        """
        repair = variant == "ccxt"
        found = self._await_controller(generation, epoch, repair=repair)
        deadline = self._monotonic() + _grace_seconds(found) + _REPLACE_SECONDS
        while True:
            pods = self.pods()
            wrong = [name for name in names if self._is_wrong(pods.get(name), variant)]
            if not wrong:
                return
            if self._monotonic() >= deadline:
                raise InstanceStuck(
                    "; ".join(describe(pods.get(name), name, self._container) for name in wrong),
                    "see `kubectl describe pod`; where its node is lost, delete the node",
                )
            self._delete([pods[name] for name in wrong if name in pods], epoch, repair=repair)
            self._sleep(POLL_SECONDS)

    def await_gone(self, names: Sequence[str]) -> None:
        """Return once no pod of `names` exists; raises `InstanceStuck`."""
        deadline = self._monotonic() + _DEFAULT_GRACE_SECONDS + _REPLACE_SECONDS
        while True:
            pods = self.pods()
            left = [name for name in names if name in pods]
            if not left:
                return
            if self._monotonic() >= deadline:
                raise InstanceStuck(f"{', '.join(left)} do not end", "see `kubectl describe pod`")
            self._sleep(POLL_SECONDS)

    def _is_wrong(self, pod: V1Pod | None, variant: Variant) -> bool:
        return pod is None or is_ending(pod) or made_as(pod, self._container) != variant

    def _delete(self, pods: Sequence[V1Pod], epoch: int, *, repair: bool) -> None:
        there = [pod for pod in pods if not is_ending(pod)]
        if there:
            self._fence.check(self._name, epoch, repair=repair)
        for pod in there:
            self._api.delete_pod(pod_name(pod), pod_uid(pod))

    def _await_controller(self, generation: int, epoch: int, *, repair: bool) -> V1StatefulSet:
        """A pod deleted before the controller has read the change might come back unchanged."""
        deadline = self._monotonic() + CONTROLLER_SECONDS
        while True:
            found = self._fence.check(self._name, epoch, repair=repair)
            seen = (found.status.observed_generation if found.status else None) or 0
            if seen >= generation:
                return found
            if self._monotonic() >= deadline:
                raise FleetUnavailable(
                    f"the controller of StatefulSet {self._name} has not read the change for "
                    f"{CONTROLLER_SECONDS:g} s",
                    "start kube-controller-manager; pods that start from then on are right",
                )
            self._sleep(POLL_SECONDS)


def _grace_seconds(found: V1StatefulSet) -> int:
    pod = found.spec.template.spec if found.spec else None
    grace = pod.termination_grace_period_seconds if pod else None
    return _DEFAULT_GRACE_SECONDS if grace is None else grace
