"""Who acts on the fleet: a process of its own, as a worker of Airflow is one, to be killed."""

from collections.abc import Callable
from pathlib import Path

from feed_migration.deployment import Deployment, load_deployment
from feed_migration.fleet.supervisor import SupervisorFleet
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from tests.chaos.actor import Actor

type Act = Callable[["Hands"], None]


class Hands:
    """What an actor holds: opened anew by each, from the state directory alone."""

    def __init__(self, home: Path) -> None:
        self.deployment: Deployment = load_deployment(home, {})
        self.fleet = SupervisorFleet(self.deployment)
        self.journal = Journal(self.deployment.journal_url, home=home)
        self.spool = Spool(self.deployment.spool_file)


def drive(home: Path, act: Act) -> Actor:
    """Let a new process do `act`."""
    return Actor(lambda: act(Hands(home)), home / "drivers.log")
