"""What a StatefulSet says its pods become, and what it must say instead. Pure.

A pod at or above `rollingUpdate.partition` is made from the template, one below it from the
revision in `status.currentRevision`: the base. So native instances are always the highest ordinals
while the base is ccxt, and lowering the partition is the ramp. The base follows the template once
every pod runs it and is ready. Before that it is still the old one: a pod below the partition that
dies then comes back as the base says, whatever the template says.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes.client import V1PodSpec, V1StatefulSet

from feed_migration.errors import FleetUnavailable
from feed_migration.fleet.base import Variant
from feed_migration.fleet.supervisor_conf import FLAG

EPOCH = "feed-migration/epoch"
_FLAGS: dict[str, Variant] = {"true": "native", "false": "ccxt"}
_WORDS: dict[Variant, str] = {variant: word for word, variant in _FLAGS.items()}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What the pods of a StatefulSet of `replicas` become on any start."""

    template: Variant
    partition: int
    base: Variant
    replicas: int

    def variant(self, ordinal: int) -> Variant:
        """Return what the pod `ordinal` is made as."""
        return self.template if ordinal >= self.partition else self.base

    def variants(self) -> tuple[Variant, ...]:
        """Return what every pod is made as, by ordinal."""
        return tuple(self.variant(ordinal) for ordinal in range(self.replicas))


def changed(spec: Spec, ordinals: Collection[int], variant: Variant) -> Spec | None:
    """Return the spec that makes `ordinals` `variant` and leaves the others as they are.

    None where no StatefulSet can say that: the pods unlike the base must be the highest.
    """
    wanted: list[Variant] = [
        variant if ordinal in ordinals else current
        for ordinal, current in enumerate(spec.variants())
    ]
    if all(each == variant for each in wanted):
        # whatever the base is: from now on every pod that starts is right
        return Spec(template=variant, partition=0, base=spec.base, replicas=spec.replicas)
    first = next(index for index, each in enumerate(wanted) if each != spec.base)
    other = wanted[first]
    if any(each != other for each in wanted[first:]):
        return None
    return Spec(template=other, partition=first, base=spec.base, replicas=spec.replicas)


def in_order(ordinals: Collection[int], variant: Variant, base: Variant) -> list[int]:
    """Return `ordinals` as batches must take them, so that every step can be said."""
    return sorted(ordinals, reverse=variant != base)


def read_partition(stateful_set: V1StatefulSet) -> int:
    """Return the partition, 0 where none is set; raises where pods are not rolled at all."""
    strategy = stateful_set.spec.update_strategy if stateful_set.spec else None
    if strategy is not None and strategy.type == "OnDelete":
        raise FleetUnavailable(
            f"{_name(stateful_set)} has updateStrategy OnDelete, which has no partition",
            "apply deploy/kubernetes: the strategy is RollingUpdate",
        )
    rolling = strategy.rolling_update if strategy else None
    return (rolling.partition if rolling else None) or 0


def read_variant(pod_spec: V1PodSpec | None, container: str, where: str) -> Variant:
    """Return what the flag in a pod's specification means; an absent flag means ccxt."""
    for entry in pod_spec.containers if pod_spec else ():
        if entry.name != container:
            continue
        for variable in entry.env or ():
            if variable.name == FLAG:
                return _meaning(variable.value, where)
        return "ccxt"
    raise FleetUnavailable(
        f"{where} has no container {container!r}", "correct fleet.kubernetes.container"
    )


def read_base(revision_data: object, container: str, where: str) -> Variant:
    """Return the variant in a ControllerRevision's data, which is a patch of the StatefulSet."""
    pod: Any = revision_data
    for key in ("spec", "template", "spec"):
        pod = pod.get(key) if isinstance(pod, Mapping) else None
    return read_variant(V1PodSpec.from_dict(pod) if pod else None, container, where)


def read_epoch(stateful_set: V1StatefulSet, *, repair: bool = False) -> int:
    """Return the epoch the StatefulSet was last acted on with, 0 for never.

    With `repair`, one that is no number counts as 0.
    """
    metadata = stateful_set.metadata
    text = ((metadata.annotations if metadata else None) or {}).get(EPOCH, "0")
    if text.isascii() and text.isdigit():
        return int(text)
    if repair:
        return 0
    raise FleetUnavailable(
        f"annotation {EPOCH} of {_name(stateful_set)} is unreadable ({text[:20]!r})",
        "write into it the highest epoch of `backpack-migrate audit export`",
    )


def flag_patch(spec: Spec, container: str) -> dict[str, Any]:
    """Return the part of a strategic merge patch that makes a StatefulSet say `spec`."""
    # a value beside a valueFrom is refused by the API server
    variable = {"name": FLAG, "value": _WORDS[spec.template], "valueFrom": None}
    return {
        "updateStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"partition": spec.partition},
        },
        "template": {"spec": {"containers": [{"name": container, "env": [variable]}]}},
    }


def fenced_patch(
    stateful_set: V1StatefulSet, epoch: int, spec: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a patch that is refused when anybody has written since `stateful_set` was read."""
    metadata = stateful_set.metadata
    patch: dict[str, Any] = {
        "metadata": {
            "resourceVersion": metadata.resource_version if metadata else None,
            "annotations": {EPOCH: str(epoch)},
        }
    }
    if spec:
        patch["spec"] = dict(spec)
    return patch


def says(stateful_set: V1StatefulSet, spec: Mapping[str, Any] | None) -> bool:
    """Whether `stateful_set` says `spec` already, a patch as `flag_patch` or a scale returns it."""
    return spec is None or _contains(stateful_set.to_dict(serialize=True).get("spec"), spec)


def ordinals_of(names: Sequence[str]) -> list[int]:
    """Return the ordinals of pods by their names."""
    return [int(name.rpartition("-")[2]) for name in names]


def _contains(document: object, patch: object) -> bool:
    if isinstance(patch, Mapping):
        return isinstance(document, Mapping) and all(
            _contains(document.get(key), value) for key, value in patch.items()
        )
    if isinstance(patch, list):
        named = {entry["name"]: entry for entry in document} if isinstance(document, list) else {}
        return all(_contains(named.get(entry["name"]), entry) for entry in patch)
    return document == patch


def _meaning(value: str | None, where: str) -> Variant:
    variant = _FLAGS.get((value or "").strip().lower())
    if variant is None:
        raise FleetUnavailable(
            f"{where} has {FLAG} = {value!r}", "set it to the text true or false, not a reference"
        )
    return variant


def _name(stateful_set: V1StatefulSet) -> str:
    return f"StatefulSet {stateful_set.metadata.name if stateful_set.metadata else '?'}"
