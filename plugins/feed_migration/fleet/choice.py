"""The driver of the fleet that a deployment names."""

from feed_migration.deployment import Deployment
from feed_migration.fleet.base import Fleet
from feed_migration.fleet.supervisor import SupervisorFleet


def open_fleet(deployment: Deployment) -> Fleet:
    """Return the driver of `deployment`; asks nobody yet."""
    if deployment.fleet.kind == "kubernetes":
        # its client is large, and a supervised fleet does not need it
        from feed_migration.fleet.kubernetes import KubernetesFleet  # noqa: PLC0415

        return KubernetesFleet(deployment)
    return SupervisorFleet(deployment)
