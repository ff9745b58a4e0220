"""A fleet of FeedHandlers as the pods of a Kubernetes StatefulSet.

The flag is in the pod template, and the partition says how many of the highest ordinals it is for:
instances are ordered from the highest down, so that "the first 10 %" is what a partition can say.
One write changes flag, partition and epoch together, so the spec is always before or after; pods
then follow it, and the next attempt completes one cut short anywhere. Each restart is from its
checkpoint: a pod ends before the next of its name starts on the same volume.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import batched
from typing import Any

from kubernetes.client import V1StatefulSet

from feed_migration.deployment import Deployment, Instance
from feed_migration.errors import FleetUnavailable, UsageError
from feed_migration.fleet.base import InstanceStatus, Variant
from feed_migration.fleet.kubernetes_api import KubernetesApi, NoSuchObject
from feed_migration.fleet.kubernetes_fence import KubernetesFence
from feed_migration.fleet.kubernetes_pods import made_as, pod_name
from feed_migration.fleet.kubernetes_roll import POLL_SECONDS, Roller
from feed_migration.fleet.kubernetes_spec import (
    Spec,
    changed,
    flag_patch,
    in_order,
    ordinals_of,
    read_base,
    read_epoch,
    read_partition,
    read_variant,
)
from feed_migration.fleet.kubernetes_view import View
from feed_migration.fleet.shadow_evidence import keep_evidence


class KubernetesFleet:
    """`Fleet` on a StatefulSet; see `fleet.base` for what each act promises."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
    ) -> None:
        self._settings = deployment.fleet.kubernetes
        self._fleet = deployment.fleet
        order = ordinals_of([instance.id for instance in deployment.instances])
        ranked = sorted(zip(order, deployment.instances, strict=True), key=lambda pair: -pair[0])
        self._instances = tuple(instance for _, instance in ranked)
        self._shadows = deployment.shadow_instances
        self._monotonic = monotonic
        self._sleep = sleep
        self._clock = clock
        self._parity_folder = deployment.parity_folder
        self._api = KubernetesApi(self._settings, monotonic=monotonic, sleep=sleep)
        self._fence = KubernetesFence(self._api)
        self._handlers = self._roller(self._settings.stateful_set)
        self._shadow_pods = self._roller(self._settings.shadow_stateful_set)
        self._view = View(
            self._api,
            self._settings.container,
            rollers=(self._handlers, self._shadow_pods) if self._shadows else (self._handlers,),
            monotonic=monotonic,
            sleep=sleep,
        )

    @property
    def ready_deadline_seconds(self) -> float:
        """How long an instance may take to become ready."""
        return self._fleet.ready_deadline_seconds

    @property
    def max_unavailable(self) -> int:
        """How many instances a forward act restarts at a time."""
        return self._fleet.max_unavailable

    def epoch(self) -> int:
        """Return the highest epoch seen, 0 for none."""
        return read_epoch(self._api.stateful_set(self._settings.stateful_set))

    def instances(self) -> tuple[InstanceStatus, ...]:
        """Return every handler instance, the highest ordinal first."""
        return self._view.statuses(self._instances)

    def shadow_instances(self) -> tuple[InstanceStatus, ...]:
        """Return the shadow instances, running or not."""
        return self._view.statuses(self._shadows)

    def set_variant(
        self,
        ids: Sequence[str],
        variant: Variant,
        *,
        epoch: int,
        max_unavailable: int | None = None,
    ) -> None:
        """Flip and restart those of `ids` that are not right yet, batch by batch."""
        self._named(ids, self._instances)
        size = max_unavailable or self._fleet.max_unavailable
        pending = list(ids) if len(ids) <= size else self._pending(ids, variant, epoch)
        batches = list(batched(pending, size, strict=False)) or [()]
        for number, batch in enumerate(batches, start=1):
            found = self._say(batch, variant, epoch)
            generation = (found.metadata.generation if found.metadata else None) or 0
            self._handlers.replace(batch, variant, epoch, generation)
            if number < len(batches):
                self.wait_ready(batch, variant, self.ready_deadline_seconds, epoch=epoch)

    def wait_ready(
        self,
        ids: Sequence[str],
        variant: Variant | None,
        deadline_seconds: float,
        *,
        epoch: int | None = None,
    ) -> None:
        """Return once all `ids` run `variant` and are ready, else raise `NotReady`.

        Ready means that the handler says so and that its readiness probe passes; while the API
        server does not answer, the handler's word counts, and nobody is overtaken.
        """
        waiting = self._named(ids, (*self._instances, *self._shadows))
        self._view.wait_ready(waiting, variant, deadline_seconds, epoch=epoch)

    def remaining(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Return which of `ids` are pods, or would be made by their StatefulSet."""
        if not ids:
            return ()
        there = {pod_name(pod) for pod in self._api.pods()}
        sets = {name.rpartition("-")[0] for name in ids if name not in there}
        sizes = {name: self._size(name) for name in sets}
        made = {f"{name}-{place}" for name, size in sizes.items() for place in range(size)}
        return tuple(name for name in ids if name in there | made)

    def start_shadow(self, epoch: int) -> None:
        """Start the shadow instances; their configuration says that they run both feeds."""
        self._scale_shadows(len(self._shadows), epoch)

    def stop_shadow(self, epoch: int) -> None:
        """Keep what the shadow instances compared, stop them and wait until their pods are gone."""
        keep_evidence(self._shadows, self._parity_folder, self._clock())
        self._scale_shadows(0, epoch)
        if self._shadows:
            self._shadow_pods.await_gone([shadow.id for shadow in self._shadows])

    def log_tails(self, ids: Sequence[str], lines: int) -> dict[str, tuple[str, ...]]:
        """Return the last `lines` log lines of each of `ids`, redacted."""
        return self._view.log_tails(ids, lines)

    def _size(self, name: str) -> int:
        """Return how many pods the StatefulSet `name` makes, 0 where there is none."""
        try:
            spec = self._api.stateful_set(name).spec
        except NoSuchObject:
            return 0
        return 1 if spec is None or spec.replicas is None else spec.replicas

    def _roller(self, name: str) -> Roller:
        return Roller(
            self._api,
            self._fence,
            name,
            self._settings.container,
            monotonic=self._monotonic,
            sleep=self._sleep,
        )

    def _named(self, ids: Sequence[str], among: Sequence[Instance]) -> list[Instance]:
        known = {instance.id: instance for instance in among}
        unknown = [name for name in ids if name not in known]
        if unknown:
            raise UsageError(f"no instance {', '.join(unknown)}", "see deployment.yaml for the ids")
        return [known[name] for name in ids]

    def _pending(self, ids: Sequence[str], variant: Variant, epoch: int) -> list[str]:
        """Return those of `ids` that are not right, in the order that a partition can take."""
        name = self._settings.stateful_set
        found = self._fence.check(name, epoch, repair=variant == "ccxt")
        spec, pods = self._spec(found), self._handlers.pods()
        named = dict(zip(ordinals_of(ids), ids, strict=True))

        def is_right(ordinal: int) -> bool:
            pod = pods.get(named[ordinal])
            made = pod and made_as(pod, self._settings.container)
            return spec.variant(ordinal) == variant == made

        order = in_order(named, variant, spec.base)
        return [named[ordinal] for ordinal in order if not is_right(ordinal)]

    def _say(self, ids: Sequence[str], variant: Variant, epoch: int) -> V1StatefulSet:
        """Write that `ids` are `variant` and the others as they are."""
        ordinals = frozenset(ordinals_of(ids))
        deadline = self._monotonic() + self.ready_deadline_seconds

        def change(found: V1StatefulSet) -> Mapping[str, Any] | None:
            target = self._target(found, ordinals, variant)
            return None if target is None else flag_patch(target, self._settings.container)

        name, repair = self._settings.stateful_set, variant == "ccxt"
        while True:
            try:
                return self._fence.write(name, epoch, change, repair=repair)
            except _Unsettled as error:
                if self._monotonic() >= deadline:
                    raise FleetUnavailable(
                        str(error), "wait until every instance is ready, then repeat"
                    ) from None
                self._sleep(POLL_SECONDS)

    def _target(
        self, found: V1StatefulSet, ordinals: frozenset[int], variant: Variant
    ) -> Spec | None:
        if not ordinals:
            return None
        size = len(self._instances)
        if len(ordinals) == size:
            # needs nothing of what is there, however damaged it is
            return Spec(template=variant, partition=0, base=variant, replicas=size)
        spec = self._spec(found)
        if spec.replicas != size:
            raise FleetUnavailable(
                f"StatefulSet {self._settings.stateful_set} has {spec.replicas} replicas, "
                f"deployment.yaml names {size} instances",
                "make them agree; only the whole fleet can be acted on before",
            )
        target = changed(spec, ordinals, variant)
        if target is not None:
            return target
        if spec.partition == 0 and spec.base != spec.template:
            raise _Unsettled(
                f"StatefulSet {self._settings.stateful_set} is on {spec.template}, but not all pods"
                f" are ready: one that dies below a partition would come back on {spec.base}"
            )
        raise UsageError(
            f"ordinals {sorted(ordinals)} cannot be {variant} alone",
            "a StatefulSet ramps from its highest ordinal down",
        )

    def _spec(self, found: V1StatefulSet) -> Spec:
        container, name = self._settings.container, f"StatefulSet {self._settings.stateful_set}"
        spec = found.spec
        template = read_variant(spec.template.spec if spec else None, container, name)
        current = found.status.current_revision if found.status else None
        base = template
        if current:
            data = self._api.revision(current).data
            base = read_base(data, container, f"ControllerRevision {current}")
        return Spec(
            template=template,
            partition=read_partition(found),
            base=base,
            replicas=(spec.replicas if spec and spec.replicas is not None else 1),
        )

    def _scale_shadows(self, replicas: int, epoch: int) -> None:
        # the fleet's epoch first: one who is overtaken there does not come as far as the shadows
        self._fence.write(self._settings.stateful_set, epoch, lambda _found: None)
        if self._shadows:
            name = self._settings.shadow_stateful_set
            # the fleet's own annotation has admitted this epoch: one that is damaged here may go
            self._fence.write(name, epoch, lambda _found: {"replicas": replicas}, repair=True)


class _Unsettled(Exception):  # noqa: N818 - reads as the fact it states
    """The revision that pods below the partition are made from is not yet the template's."""
