"""The fleet that a migration began with, whatever deployment.yaml has come to say since.

`migration_started` has it. A step forward needs the same instances in the same order, since shares
are of their number; the way back is never refused for an edit, see `known_way_back`.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec

from feed_migration.deployment import Deployment, Instance, InstanceSpec, instance_of
from feed_migration.errors import FleetChanged
from feed_migration.events import body_mapping, body_mappings

_CLUSTER_KEYS = ("namespace", "stateful_set", "shadow_stateful_set", "container")


def record(deployment: Deployment) -> dict[str, Any]:
    """Return the fleet as `migration_started` keeps it; files relative to the state directory."""
    made: dict[str, Any] = {
        "kind": deployment.fleet.kind,
        "instances": [_entry(deployment, one) for one in deployment.instances],
        "shadow_instances": [_entry(deployment, one) for one in deployment.shadow_instances],
    }
    if deployment.fleet.kind == "kubernetes":
        settings = deployment.fleet.kubernetes
        made["kubernetes"] = {key: getattr(settings, key) for key in _CLUSTER_KEYS}
    return made


def require_same(deployment: Deployment, fleet: Mapping[str, Any], migration_id: str) -> None:
    """Raise FleetChanged unless the deployment has the handlers that the migration began with.

    A migration that an older version began has no record, and is taken as it is.
    """
    began = as_begun(deployment, fleet)
    if began is None:
        return
    if place_of(began) != place_of(deployment):
        what = f"it was {place_of(began)} and is {place_of(deployment)}"
    else:
        what = _difference(_ids(began.instances), _ids(deployment.instances))
    if what:
        raise FleetChanged(
            f"the fleet in deployment.yaml is not the one that {migration_id} began with: {what}",
            "restore deployment.yaml, or roll back and start a new migration",
        )


def sizes(deployment: Deployment, fleet: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many instances and shadow instances the migration began with."""
    began = as_begun(deployment, fleet) or deployment
    return len(began.instances), len(began.shadow_instances)


def as_begun(deployment: Deployment, fleet: Mapping[str, Any]) -> Deployment | None:
    """Return the deployment with the fleet of the record; None without a record that means one."""
    instances = _instances(deployment, fleet, "instances")
    if not instances:
        return None
    settings = deployment.fleet
    if fleet.get("kind") in {"supervisor", "kubernetes"}:
        settings = replace(settings, kind=fleet["kind"])
    told = body_mapping(fleet, "kubernetes")
    place = {key: told[key] for key in _CLUSTER_KEYS if isinstance(told.get(key), str)}
    return replace(
        deployment,
        fleet=replace(settings, kubernetes=replace(settings.kubernetes, **place)),
        instances=instances,
        shadow_instances=_instances(deployment, fleet, "shadow_instances"),
    )


def _instances(deployment: Deployment, fleet: Mapping[str, Any], key: str) -> tuple[Instance, ...]:
    found = []
    for entry in body_mappings(fleet, key):
        with suppress(msgspec.ValidationError):
            found.append(instance_of(deployment.home, msgspec.convert(entry, InstanceSpec)))
    return tuple(found)


def _entry(deployment: Deployment, instance: Instance) -> dict[str, str]:
    config = instance.config
    if config.is_relative_to(deployment.home):
        config = config.relative_to(deployment.home)
    return {"id": instance.id, "url": instance.url, "config": str(config)}


def place_of(deployment: Deployment) -> str:
    """Return in words where the fleet is: the same names elsewhere are other instances."""
    settings = deployment.fleet.kubernetes
    if deployment.fleet.kind == "kubernetes":
        return f"StatefulSet {settings.namespace}/{settings.stateful_set}"
    return "supervisord's"


def _difference(began: Sequence[str], now: Sequence[str]) -> str:
    gone = [name for name in began if name not in now]
    new = [name for name in now if name not in began]
    words = [f"{', '.join(gone)} missing"] * bool(gone) + [f"{', '.join(new)} new"] * bool(new)
    if not words and list(began) != list(now):
        return "the instances are in another order"
    return ", ".join(words)


def _ids(instances: Iterable[Instance]) -> list[str]:
    return [one.id for one in instances]
