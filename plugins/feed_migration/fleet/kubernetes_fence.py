"""Writes to a StatefulSet that only the newest actor can make, and that are never lost or doubled.

The epoch is an annotation of the fleet's StatefulSet, written in the same request as what it
admits, and every request carries the resourceVersion that was read: the API server refuses it when
anybody has written in between. So there is no moment between check and act, and no lock to hold.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kubernetes.client import V1StatefulSet

from feed_migration.errors import FleetBusy, StaleEpoch
from feed_migration.fleet.kubernetes_api import KubernetesApi, WriteConflict
from feed_migration.fleet.kubernetes_spec import fenced_patch, read_epoch, says

# the controller writes the status of the same object while pods roll, so conflicts are normal
_ATTEMPTS = 50

type Change = Callable[[V1StatefulSet], Mapping[str, Any] | None]


class KubernetesFence:
    """Admits writers in the order of their epochs."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def check(self, name: str, epoch: int, *, repair: bool = False) -> V1StatefulSet:
        """Return the StatefulSet `name`; raises `StaleEpoch` unless `epoch` is still the highest.

        `repair` is for the way back: an annotation that holds no epoch counts as 0.
        """
        found = self._api.stateful_set(name)
        require_newest(found, epoch, repair=repair)
        return found

    def write(
        self, name: str, epoch: int, change: Change, *, repair: bool = False
    ) -> V1StatefulSet:
        """Make the spec say what `change` returns for it, and the epoch be `epoch`.

        `change` sees the object as it is and is asked again after a conflict; None changes nothing
        but the epoch. Nothing is written where all is said already.
        """
        for _ in range(_ATTEMPTS):
            found = self.check(name, epoch, repair=repair)
            spec = change(found)
            if says(found, spec) and _carries(found, epoch):
                return found
            try:
                return self._api.patch_stateful_set(name, fenced_patch(found, epoch, spec))
            except WriteConflict:
                continue
        raise FleetBusy(
            f"StatefulSet {name} was written by others {_ATTEMPTS} times in between",
            "stop what writes it (kubectl, GitOps, an autoscaler), then repeat",
        )


def require_newest(found: V1StatefulSet, epoch: int, *, repair: bool = False) -> None:
    """Raise `StaleEpoch` where `found` carries an epoch above `epoch`."""
    current = read_epoch(found, repair=repair)
    if epoch < current:
        raise StaleEpoch(presented=epoch, current=current)


def _carries(found: V1StatefulSet, epoch: int) -> bool:
    # 0 stands for never acted on, and needs no annotation
    return read_epoch(found, repair=True) == epoch
