"""The way back over an edited deployment.yaml: the fleet that a migration began with is taken back.

With it goes what is new beside it. What is neither there nor could come by itself is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feed_migration.deployment import Deployment, Instance
from feed_migration.errors import FleetUnavailable
from feed_migration.fleet.base import Fleet
from feed_migration.fleet.known import as_begun, place_of
from feed_migration.fleet.snapshot import read_statuses
from feed_migration.guard.knowledge import KnowledgeFile, Known
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from feed_migration.take_back import state_if_any


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A migration's fleet as `record` made it, and which of it may be exposed."""

    fleet: Mapping[str, Any] = field(default_factory=dict)
    exposed: tuple[str, ...] = ()


def remembered(deployment: Deployment, journal: Journal | None, migration_id: str) -> Memory:
    """Return what the journal and the guard's copy know of the fleet; never raises.

    What a verified rollback has left is the deployment's alone.
    """
    state = state_if_any(journal, migration_id)
    if state is not None and state.status is Status.ROLLED_BACK:
        return Memory()
    known = _copy(deployment)
    if state is None or state.status is Status.ABSENT:
        return Memory(fleet=known.fleet, exposed=known.exposed) if known else Memory()
    # a journal that went back in time may have lost an exposure that the guard has seen
    seen = known.exposed if known and known.migration_id == migration_id else ()
    exposed = tuple(dict.fromkeys((*state.exposed, *seen)))
    return Memory(fleet=state.fleet, exposed=exposed)


def known_migration(deployment: Deployment) -> str | None:
    """Return which migration the guard's copy says is to be taken back, for want of a journal."""
    known = _copy(deployment)
    return known.migration_id if known else None


def _copy(deployment: Deployment) -> Known | None:
    copy = KnowledgeFile(deployment.guard_folder / "known.json").load()
    known = copy.known if copy else None
    return None if known is None or known.status is Status.ROLLED_BACK else known


def open_known(
    deployment: Deployment, fleet: Mapping[str, Any], open_fleet: Callable[[Deployment], Fleet]
) -> Fleet:
    """Return the driver for a migration that began with `fleet`: of all that may have to go back.

    Of what the deployment and the record do not both name, only what is still there is acted on:
    what a person has removed is not made anew.
    """
    began = as_begun(deployment, fleet)
    if began is None:
        return open_fleet(deployment)
    if place_of(began) != place_of(deployment):
        old, names = open_fleet(began), _all(began)
        return old if _still_there(old, names, may_be=names) else open_fleet(deployment)
    if _ids(_all(began)) == _ids(_all(deployment)):
        return open_fleet(deployment)
    return open_fleet(_united(began, deployment, open_fleet))


def _united(
    began: Deployment, now: Deployment, open_fleet: Callable[[Deployment], Fleet]
) -> Deployment:
    """Return `now` with those of the beginning, as they are named now, and without who is not."""
    whole = replace(
        now,
        instances=_merged(began.instances, now.instances),
        shadow_instances=_merged(began.shadow_instances, now.shadow_instances),
    )
    # a shadow that is new harms nobody, and is started in its own phase
    common = (_ids(_all(began)) & _ids(_all(now))) | _ids(now.shadow_instances)
    unsure = [one for one in _all(whole) if one.id not in common]
    kept = common | _still_there(open_fleet(whole), unsure, may_be=_all(began))
    return replace(
        whole,
        instances=tuple(one for one in whole.instances if one.id in kept),
        shadow_instances=tuple(one for one in whole.shadow_instances if one.id in kept),
    )


def _still_there(
    fleet: Fleet, instances: Sequence[Instance], *, may_be: Sequence[Instance]
) -> set[str]:
    """Return which of `instances` exist, for their supervisor or by their own answer.

    Where nobody can say, those of `may_be` count: who is new was not exposed, and is not made.
    """
    speaking = {status.id for status in read_statuses(instances) if status.variant != "unknown"}
    silent = [one.id for one in instances if one.id not in speaking]
    try:
        return speaking | set(fleet.remaining(silent))
    except FleetUnavailable:
        return speaking | (set(silent) & _ids(may_be))


def _merged(began: Sequence[Instance], now: Sequence[Instance]) -> tuple[Instance, ...]:
    newest, known = {one.id: one for one in now}, _ids(began)
    return (
        *(newest.get(one.id, one) for one in began),
        *(one for one in now if one.id not in known),
    )


def _all(deployment: Deployment) -> tuple[Instance, ...]:
    return (*deployment.instances, *deployment.shadow_instances)


def _ids(instances: Sequence[Instance]) -> set[str]:
    return {one.id for one in instances}
